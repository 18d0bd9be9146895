import { createHash } from 'node:crypto';
import type { Executor } from '@waypost/redis';
import type { Classifier } from '../classify.js';
import { openMail } from '../letter.js';
import { MOST_TAUGHT } from '../limits.js';
import { probability } from '../model.js';
import type { Layer, Share } from './layer.js';
import { learnScript } from './script.js';

/** Told whose layer changed. */
export const LESSONS = 'wp:spam:lessons';
/** Weights are kept as whole numbers of this part. */
const UNIT = 1_000;

/** Bounds of what may be taught. */
export interface LessonLimits {
  /** Weights kept of one tenant. */
  readonly max_weights: number;
  /** Messages remembered of one tenant, so that none is learned twice. */
  readonly max_lessons: number;
  /** Lessons of one tenant in an hour; those by an operator's command are not counted. */
  readonly per_hour: number;
  /** How far one lesson moves the verdict on its message towards what was said, of the error in it. */
  readonly rate: number;
  /** Log odds that one feature's weight may come to. */
  readonly max_weight: number;
}

export type SpamClass = 'ham' | 'spam';

/** `known`: the same text was learned as the same before · `limited`: too many lessons this hour. */
export type LessonResult = 'learned' | 'known' | 'limited';

/** What one tenant taught, or where there is none what everybody goes by. */
export const keysOf = (tenant: string | undefined) => {
  const base = `wp:spam:{${tenant === undefined ? '*' : `t:${tenant}`}}`;
  return {
    newer: `${base}:weights`,
    older: `${base}:weights:older`,
    lessons: `${base}:lessons`,
    olderLessons: `${base}:lessons:older`,
    hour: `${base}:hour`,
  };
};
const nameOf = (tenant: string | undefined) => (tenant === undefined ? '*' : `t:${tenant}`);

/** The same for texts that differ in numbers and signs alone: copies of one mailing teach once. */
const digestOf = (text: string) =>
  createHash('sha256')
    .update(text.toLowerCase().replace(/[^\p{L}]+/gu, ' '))
    .digest('base64url')
    .slice(0, 22);

/** Where lessons are kept, for all processes. */
export class Lessons {
  constructor(
    private readonly executor: Executor,
    private readonly limits: () => LessonLimits,
  ) {}

  /**
   * Learns that a message is wanted or is spam. A step of logistic regression over what the model and earlier lessons say: what
   * they have right already changes little, what they have wrong changes much. A later lesson of the other class on the
   * same text counts again.
   * @param options.unlimited for what an operator does by hand.
   * @throws as Executor.exec.
   */
  async learn(
    message: Buffer,
    as: SpamClass,
    by: { readonly classifier: Classifier; readonly tenant?: string | undefined; readonly unlimited?: boolean },
  ): Promise<LessonResult> {
    const limits = this.limits();
    const { shares, score, text } = by.classifier.examine(openMail(message));
    const before = await this.#taught(shares, by.tenant);
    const error = (as === 'spam' ? 1 : 0) - probability(score + before);
    const changes = shares.flatMap(({ hash, share }) => {
      const change = Math.round(error * limits.rate * share * UNIT);
      return change === 0 ? [] : [hash, change];
    });
    const { newer, older, lessons, olderLessons, hour } = keysOf(by.tenant);
    const digest = digestOf(text);
    const args = [
      ...[newer, older, lessons, olderLessons, hour],
      ...[as, digest, Math.ceil(limits.max_weights / 2), Math.ceil(limits.max_lessons / 2)],
      ...[by.unlimited ? 0 : limits.per_hour, Math.round(limits.max_weight * UNIT), LESSONS, nameOf(by.tenant)],
      ...changes,
    ];
    const [reply] = await this.executor.exec([{ name: learnScript.name, script: learnScript, args }], {
      refusable: true,
    });
    return reply === 1 ? 'learned' : reply === 0 ? 'known' : 'limited';
  }

  /** @returns what earlier lessons say of a message: log odds. */
  async #taught(shares: readonly Share[], tenant: string | undefined): Promise<number> {
    if (shares.length === 0) return 0;
    const layers = tenant === undefined ? [keysOf(undefined)] : [keysOf(undefined), keysOf(tenant)];
    const hashes = shares.map(({ hash }) => hash);
    const replies = (await this.executor.exec(
      layers.flatMap(({ newer, older }) => [newer, older].map((key) => ({ name: 'hmget', args: [key, ...hashes] }))),
    )) as (string | null)[][];
    let score = 0;
    for (const weights of replies) {
      for (const [at, { share }] of shares.entries()) score += (share * Number(weights[at] ?? 0)) / UNIT;
    }
    return Math.max(-MOST_TAUGHT, Math.min(MOST_TAUGHT, score));
  }

  /** @returns what a tenant taught, or what was taught for everybody. */
  async read(tenant: string | undefined): Promise<Layer> {
    const { newer, older } = keysOf(tenant);
    const replies = (await this.executor.exec([
      { name: 'hgetall', args: [older] },
      { name: 'hgetall', args: [newer] },
    ])) as (string[] | Record<string, string>)[];
    const layer = new Map<number, number>();
    for (const reply of replies) {
      const flat = Array.isArray(reply) ? reply : Object.entries(reply).flat();
      for (let at = 0; at < flat.length; at += 2) {
        const hash = Number(flat[at]);
        layer.set(hash, (layer.get(hash) ?? 0) + Number(flat[at + 1]) / UNIT);
      }
    }
    return layer;
  }

  /** Forgets all that a tenant taught. @returns whether there was anything. */
  async forget(tenant: string | undefined): Promise<boolean> {
    const [gone] = await this.executor.exec([
      { name: 'unlink', args: Object.values(keysOf(tenant)) },
      { name: 'publish', args: [LESSONS, nameOf(tenant)] },
    ]);
    return Number(gone) > 0;
  }
}
