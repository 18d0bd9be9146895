import { learn, scoreOf } from './learn.js';
import { measure, thresholdFor } from './measures.js';
import type { Model } from './model.js';
import type { Split } from './split.js';

/** What an evaluation found. */
export interface Figures {
  readonly how: string;
  readonly trained: number;
  readonly spam: number;
  readonly ham: number;
  /** Messages of the test left out because the training has nearly the same. */
  readonly left: number;
  readonly auc: number;
  /** The part of spam found, by the part of ham taken for it at most. */
  readonly recall: readonly { readonly falsePositives: number; readonly recall: number }[];
  /** What thresholds make of the test that were not chosen by looking at it. */
  readonly thresholds: readonly {
    readonly name: string;
    readonly score: number;
    readonly recall: number;
    readonly falsePositives: number;
  }[];
}

const RATES = [0.001, 0.002, 0.005, 0.01];

/** Trains on a split's training, or takes the model given, and tries it on the test. */
export function evaluate({ training, test, left, how }: Split, given?: Model): Figures {
  const learned = given ? { model: given, unseen: [] } : learn(training);
  const measures = measure(test.map((sample) => ({ score: scoreOf(learned.model, sample), spam: sample.spam })));
  const fixed = [
    { name: 'spam is as likely as not', score: 0 },
    { name: '99 % sure', score: Math.log(99) },
  ];
  const chosen = [0.001, 0.005].map((rate) => ({
    name: `${percent(rate)} of false positives over the training`,
    score: thresholdFor(learned.unseen, rate),
  }));
  const { spam, ham, auc } = measures;
  return {
    how,
    trained: training.length,
    spam,
    ham,
    left,
    auc,
    recall: RATES.map((falsePositives) => ({ falsePositives, recall: measures.recallAt(falsePositives) })),
    thresholds: (given ? fixed : [...fixed, ...chosen]).map((one) => ({ ...one, ...measures.at(one.score) })),
  };
}

/** The same for people. */
export function describeFigures(figures: Figures): string {
  const { how, trained, spam, ham, left, auc, recall, thresholds } = figures;
  return [
    `Split: ${how}.`,
    `Training: ${trained} messages. Test: ${spam} spam, ${ham} ham; ${left} more left out, as the training has nearly the same.`,
    `ROC AUC: ${auc.toFixed(5)}`,
    ...recall.map(
      (one) => `False positives at most ${percent(one.falsePositives)}: ${percent(one.recall)} of spam found`,
    ),
    ...thresholds.map(
      ({ name, score, ...one }) =>
        `Threshold ${score.toFixed(2)} (${name}): ${percent(one.recall)} of spam found, ${percent(one.falsePositives)} of ham taken for it`,
    ),
  ].join('\n');
}

const percent = (part: number) => `${(part * 100).toFixed(2)} %`;
