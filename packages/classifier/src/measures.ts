import type { Scored } from './calibrate.js';

/** How well scores tell spam from ham. */
export interface Measures {
  readonly spam: number;
  readonly ham: number;
  /** Area under the ROC curve: how often a spam message scores above a ham message. */
  readonly auc: number;
  /** The part of spam found where at most this part of ham is taken for spam. */
  recallAt(falsePositives: number): number;
  /** What a threshold makes of these messages. */
  at(threshold: number): { recall: number; falsePositives: number };
}

export function measure(scored: readonly Scored[]): Measures {
  const spam = scored
    .filter((one) => one.spam)
    .map(({ score }) => score)
    .sort(descending);
  const ham = scored
    .filter((one) => !one.spam)
    .map(({ score }) => score)
    .sort(descending);
  return {
    spam: spam.length,
    ham: ham.length,
    auc: areaUnder(spam, ham),
    recallAt: (falsePositives) => {
      // The first ham message beyond those allowed: what scores above it is found.
      const bound = ham[Math.floor(falsePositives * ham.length)] ?? Number.NEGATIVE_INFINITY;
      return part(spam, (score) => score > bound);
    },
    at: (threshold) => ({
      recall: part(spam, (score) => score >= threshold),
      falsePositives: part(ham, (score) => score >= threshold),
    }),
  };
}

/** @returns the lowest threshold that takes at most this part of ham for spam. */
export function thresholdFor(scored: readonly Scored[], falsePositives: number): number {
  const ham = scored
    .filter((one) => !one.spam)
    .map(({ score }) => score)
    .sort(descending);
  return (ham[Math.floor(falsePositives * ham.length)] ?? 0) + 1e-9;
}

const descending = (one: number, other: number) => other - one;

const part = (scores: readonly number[], test: (score: number) => boolean) =>
  scores.length === 0 ? 0 : scores.filter(test).length / scores.length;

/** Ties count half (the Mann-Whitney statistic). Both in descending order. */
function areaUnder(spam: readonly number[], ham: readonly number[]): number {
  let wins = 0;
  let above = 0;
  for (const score of ham) {
    while (above < spam.length && (spam[above] as number) > score) above += 1;
    let equal = 0;
    while (above + equal < spam.length && spam[above + equal] === score) equal += 1;
    wins += above + equal / 2;
  }
  return wins / (spam.length * ham.length);
}
