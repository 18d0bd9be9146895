import type { Sample } from './example.js';

/** What a model learns from, and what it is tried on. */
export interface Split {
  readonly training: readonly Sample[];
  readonly test: readonly Sample[];
  /** Samples left out of the test because the training has nearly the same. */
  readonly left: number;
  /** How the split was made, in words. */
  readonly how: string;
}

/**
 * Trains on some folders and tests on others.
 * @param folders names of those to test on; where none are named, of folders that differ in their number alone (`ham-1`,
 *   `ham-2`) the one with the latest messages.
 */
export function splitByFolder(samples: readonly Sample[], folders: readonly string[] = []): Split {
  const tested = new Set(folders.length > 0 ? folders : latestFolders(samples));
  const training = samples.filter(({ folder }) => !tested.has(folder));
  const test = samples.filter(({ folder }) => tested.has(folder));
  const names = [...new Set(training.map(({ folder }) => folder))];
  return apart(training, test, `trained on ${names.join(', ')}; tested on ${[...tested].join(', ')}`);
}

/** Trains on the earliest part of ham and of spam, and tests on what came later. @param share of the samples, 0 to 1. */
export function splitByTime(samples: readonly Sample[], share: number): Split {
  const training: Sample[] = [];
  const test: Sample[] = [];
  for (const spam of [false, true]) {
    const sorted = samples.filter((sample) => sample.spam === spam).sort((one, other) => one.at - other.at);
    const count = Math.floor(sorted.length * share);
    training.push(...sorted.slice(0, count));
    test.push(...sorted.slice(count));
  }
  const part = Math.round(share * 100);
  return apart(
    training,
    test,
    `trained on the earliest ${part} % of ham and of spam; tested on the later ${100 - part} %`,
  );
}

function latestFolders(samples: readonly Sample[]): string[] {
  const times = new Map<string, number[]>();
  for (const { folder, at } of samples) {
    const list = times.get(folder) ?? [];
    times.set(folder, list);
    if (at > 0) list.push(at);
  }
  const families = Map.groupBy(times.keys(), (folder) => folder.replace(/\d+/g, ''));
  const middle = (folder: string) => {
    const sorted = (times.get(folder) ?? []).sort((one, other) => one - other);
    return sorted[sorted.length >> 1] ?? 0;
  };
  return [...families.values()]
    .filter((family) => family.length > 1)
    .map((family) => family.reduce((best, folder) => (middle(folder) > middle(best) ? folder : best)));
}

function apart(training: readonly Sample[], test: readonly Sample[], how: string): Split {
  const known = new Sketches();
  for (const { sketch } of training) known.add(sketch);
  const kept = test.filter(({ sketch }) => !known.hasLike(sketch));
  return { training, test: kept, left: test.length - kept.length, how };
}

/** Part of two sketches that must be the same for their texts to be nearly the same. */
const ALIKE = 0.6;

/** Finds messages whose texts are nearly the same: of two sets, the smallest hashes agree as far as the sets do. */
export class Sketches {
  readonly #lists: (readonly number[])[] = [];
  readonly #having = new Map<number, number[]>();

  add(sketch: readonly number[]): void {
    const at = this.#lists.push(sketch) - 1;
    for (const hash of sketch) {
      const having = this.#having.get(hash);
      if (having) having.push(at);
      else this.#having.set(hash, [at]);
    }
  }

  hasLike(sketch: readonly number[]): boolean {
    if (sketch.length === 0) return false;
    const shared = new Map<number, number>();
    for (const hash of sketch) {
      for (const at of this.#having.get(hash) ?? []) shared.set(at, (shared.get(at) ?? 0) + 1);
    }
    for (const [at, count] of shared) {
      if (count >= ALIKE * Math.max(sketch.length, (this.#lists[at] as readonly number[]).length)) return true;
    }
    return false;
  }
}
