import { readFileSync } from 'node:fs';
import type { ParsedMail } from '@waypost/mime';
import { FeatureBag, featuresOf } from './features.js';
import { letterOf } from './letter.js';
import { type Judgement, judge, type Model, probability, readModel } from './model.js';

/** What the classifier says of a message. */
export interface Classification {
  /** Log odds of spam: 0 is undecided, 4.6 is 99 %. */
  readonly score: number;
  /** Probability of spam. */
  readonly probability: number;
  /** What spoke most for the verdict, the strongest first. */
  readonly reasons: readonly string[];
}

/** Reasons given. */
const REASONS = 6;
const LONGEST_REASON = 40;

/** @returns the model that ships with Waypost. */
export function baseModel(): Model {
  return readModel(readFileSync(new URL('../model/base.json', import.meta.url), 'utf8'));
}

/** @throws Error where the file cannot be read or is no model; its text says which file and why. */
export function readModelFile(file: string): Model {
  try {
    return readModel(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new Error(`${file} is no model: ${(error as Error).message}`, { cause: error });
  }
}

/** Classifies messages by a model; keeps its tables from one to the next. */
export class Classifier {
  readonly #bag = new FeatureBag();

  constructor(private readonly model: Model) {}

  /** Never throws; the cost is bounded whatever the message. @param mail as `openMail` gives it. */
  classify(mail: ParsedMail): Classification {
    const bag = featuresOf(letterOf(mail), this.#bag);
    const judgement = judge(this.model, bag);
    return {
      score: judgement.score,
      probability: probability(judgement.score),
      reasons: reasonsOf(judgement, bag),
    };
  }
}

/** The features that gave most to the side that the score is on. */
function reasonsOf({ score, part }: Judgement, bag: FeatureBag): string[] {
  const side = score >= 0 ? 1 : -1;
  const parts = Array.from({ length: bag.size }, (_, at) => ({ at, weight: part(at) * side }));
  const names = parts
    .filter(({ weight }) => weight > 0)
    .sort((one, other) => other.weight - one.weight)
    .slice(0, 3 * REASONS)
    .map(({ at }) => bag.describe(at).slice(0, LONGEST_REASON));
  return [...new Set(names)].slice(0, REASONS);
}
