import {
  type Learned,
  learn,
  measure,
  readModel,
  type Sample,
  SampleReader,
  scoreOf,
  splitByFolder,
  splitByTime,
  TRAINING,
  writeModel,
} from '@waypost/classifier';
import { beforeAll, describe, expect, it } from 'vitest';

const HAM = 'the meeting about our patch is on the agenda and I think that the kernel builds again'.split(' ');
const SPAM = 'claim your free money now with this amazing offer that makes you rich without risk'.split(' ');

/** Words from a list in an order that a number gives. */
const textOf = (words: readonly string[], seed: number) =>
  Array.from({ length: 30 }, (_, at) => words[(seed * 7 + at * at * ((seed % 5) + 1)) % words.length]).join(' ');

function sample(
  spam: boolean,
  seed: number,
  folder = spam ? 'spam' : 'ham',
  text = textOf(spam ? SPAM : HAM, seed),
): Sample {
  const date = new Date(Date.UTC(2020, 0, 1 + seed)).toUTCString();
  const octets = Buffer.from(`From: a${seed}@example.com\nDate: ${date}\nSubject: hello\n\n${text}\n`);
  return new SampleReader().read(octets, { source: `${folder}/${seed}`, folder, spam });
}

let samples: Sample[];
let learned: Learned;
beforeAll(() => {
  samples = Array.from({ length: 60 }, (_, at) => sample(at % 2 === 1, at));
  learned = learn(samples);
});

describe('learning', () => {
  it('tells the classes apart, and says on unseen mail what it says', () => {
    const { model, unseen } = learned;
    expect(scoreOf(model, sample(true, 101))).toBeGreaterThan(1);
    expect(scoreOf(model, sample(false, 100))).toBeLessThan(-1);
    expect(measure(unseen).auc).toBeGreaterThan(0.99);
  });

  it('gives the same model, octet for octet, for the same samples', () => {
    expect(writeModel(learn(samples).model)).toBe(writeModel(learned.model));
  });

  it('learns nothing of what a single sender says', () => {
    const told = { ...TRAINING, bayes: 1 };
    const shibboleth = samples.map((one, at) => (at === 1 ? sample(true, 1, 'spam', 'shibboleth shibboleths') : one));
    const { model } = learn(shibboleth, told);
    const [word] = sample(true, 1, 'spam', 'shibboleth').hashes.filter((_, at, all) => at === all.length - 1);
    expect(model.weights[(word ?? 0) & (2 ** 22 - 1)]).toBe(0);
  });

  it('comes back from a model file as it went in', () => {
    const { model } = learned;
    const read = readModel(writeModel(model));
    expect(read).toEqual(model);
  });

  it.each([
    ['another format', (file: Record<string, unknown>) => ({ ...file, format: 0 }), /format/],
    ['a part missing', (file: Record<string, unknown>) => ({ ...file, values: '' }), /cut short/],
    [
      'buckets beyond the end',
      (file: Record<string, unknown>) => ({ ...file, buckets: '/////////////////w==' }),
      /buckets/,
    ],
    ['no bias', (file: Record<string, unknown>) => ({ ...file, bias: null }), /incomplete/],
  ])('refuses a model file with %s', (_, spoil, error) => {
    const file = JSON.parse(writeModel(learned.model)) as Record<string, unknown>;
    expect(() => readModel(JSON.stringify(spoil(file)))).toThrow(error);
  });
});

describe('splits', () => {
  it('tests on the latest of folders that differ in their number, and on no message that the training has nearly', () => {
    const older = Array.from({ length: 10 }, (_, at) => sample(at % 2 === 1, at, at % 2 === 1 ? 'spam-2' : 'ham-1'));
    const newer = Array.from({ length: 10 }, (_, at) => {
      const words = Array.from({ length: 40 }, (_, word) =>
        `word${at}x${word}`.replace(/\d/g, (digit) => 'abcdefghij'[+digit] ?? ''),
      );
      return sample(at % 2 === 1, 50 + at, at % 2 === 1 ? 'spam-1' : 'ham-2', words.join(' '));
    });
    const copy = { ...(older[0] as Sample), folder: 'ham-2', source: 'copy' };
    const split = splitByFolder([...older, ...newer, copy]);
    expect(split.training.map(({ source }) => source)).toEqual(older.map(({ source }) => source));
    expect(split.test.map(({ source }) => source)).toEqual(newer.map(({ source }) => source));
    expect(split.left).toBe(1);
  });

  it('never trains on what is later than the test, class by class', () => {
    const { training, test } = splitByTime(samples, 0.5);
    for (const spam of [true, false]) {
      const times = (list: readonly Sample[]) => list.filter((one) => one.spam === spam).map(({ at }) => at);
      expect(Math.max(...times(training))).toBeLessThanOrEqual(Math.min(...times(test), Number.POSITIVE_INFINITY));
    }
  });
});

describe('measures', () => {
  const scored = (spam: readonly number[], ham: readonly number[]) => [
    ...spam.map((score) => ({ score, spam: true })),
    ...ham.map((score) => ({ score, spam: false })),
  ];

  it('count how often spam is above ham, ties by half', () => {
    expect(measure(scored([3, 2], [1, 0])).auc).toBe(1);
    expect(measure(scored([3, 1, 0], [2, 1])).auc).toBeCloseTo(2.5 / 6);
  });

  it('give the recall that so many false positives buy', () => {
    const measures = measure(scored([9, 8, 5, 4], [6, 1, 0, 0]));
    expect(measures.recallAt(0)).toBe(0.5);
    expect(measures.recallAt(0.25)).toBe(1);
    expect(measures.at(5)).toEqual({ recall: 0.75, falsePositives: 0.25 });
  });
});
