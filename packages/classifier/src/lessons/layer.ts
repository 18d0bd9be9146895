import { type Features, KINDS, type Kind } from '../features.js';
import { LEAST_SIZE } from '../model.js';

/** What was taught: log odds by the feature's hash. */
export type Layer = ReadonlyMap<number, number>;

/**
 * How much a feature of each kind is in what is taught. Here hosts and writing without blanks count: whom one gets mail from
 * is what a tenant knows better. Pairs of words and markup would fill the room.
 */
const KIND: Partial<Record<Kind, number>> = {
  word: 1,
  subject: 1.5,
  fact: 0.5,
  header: 0.3,
  link: 0.5,
  host: 2,
  foreign: 0.5,
};
const VALUES = KINDS.map((kind) => KIND[kind] ?? 0);

/** A feature, and how much of its message it is: the squares of all shares together are 1 at most. */
export interface Share {
  readonly hash: number;
  readonly share: number;
  /** Its place among the message's features. */
  readonly at: number;
}

/** The features that lessons are about. */
export function shares({ hashes, kinds, size }: Features): Share[] {
  let squares = LEAST_SIZE;
  const counted: { hash: number; share: number; at: number }[] = [];
  for (let at = 0; at < size; at++) {
    const value = VALUES[kinds[at] as number] as number;
    if (value === 0) continue;
    squares += value * value;
    counted.push({ hash: hashes[at] as number, share: value, at });
  }
  const scale = 1 / Math.sqrt(squares);
  for (const one of counted) one.share *= scale;
  return counted;
}

/** What the layers add to a message's log odds, all together no more than `most`; and each feature's part of it. */
export function taught(
  features: Features,
  layers: readonly Layer[],
  most: number,
): { score: number; parts: ReadonlyMap<number, number> } {
  const parts = new Map<number, number>();
  const used = layers.filter(({ size }) => size > 0);
  if (used.length === 0) return { score: 0, parts };
  let score = 0;
  for (const { hash, share, at } of shares(features)) {
    let weight = 0;
    for (const layer of used) weight += layer.get(hash) ?? 0;
    if (weight === 0) continue;
    parts.set(at, weight * share);
    score += weight * share;
  }
  return { score: Math.max(-most, Math.min(most, score)), parts };
}
