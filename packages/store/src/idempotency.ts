import type { Executor } from '@waypost/redis';
import { claimScript, finishScript } from './scripts/idempotency.js';

const KEPT = 86_400_000;
/** A claim whose maker died is free after this, ms. */
const CLAIM = 60_000;

/** What a request with an Idempotency-Key meets. */
export type Claim =
  /** The first: go on, with this message id seed, and `finish` or `abandon`. */
  | { readonly kind: 'new'; readonly ids: readonly string[] }
  /** Answered before: the same answer again. */
  | { readonly kind: 'replay'; readonly answer: string }
  /** Being answered now. */
  | { readonly kind: 'in_flight' }
  /** The same key with another body. */
  | { readonly kind: 'mismatch' };

/** Answers to requests with an Idempotency-Key, for 24 hours. */
export class IdempotencyStore {
  constructor(private readonly executor: Executor) {}

  /**
   * @param key unique to the caller, such as key id and header.
   * @param bodyHash of the request.
   * @param ids message ids this request would use; a request that takes over a dead claim gets that one's, so that what it
   *   may have committed is found instead of doubled.
   */
  async claim(key: string, bodyHash: string, ids: readonly string[]): Promise<Claim> {
    const args = [redisKey(key), bodyHash, JSON.stringify(ids), Date.now(), CLAIM, KEPT];
    const [reply] = (await this.executor.exec([{ name: claimScript.name, script: claimScript, args }])) as [
      [string, string],
    ];
    const [kind, text] = reply;
    if (kind === 'new') return { kind, ids: JSON.parse(text) as string[] };
    if (kind === 'replay') return { kind, answer: text };
    return { kind: kind as 'in_flight' | 'mismatch' };
  }

  /** Keeps the answer. */
  async finish(key: string, answer: string): Promise<void> {
    const args = [redisKey(key), answer, KEPT];
    await this.executor.exec([{ name: finishScript.name, script: finishScript, args }]);
  }

  /** Gives the key free again: nothing was done. */
  async abandon(key: string): Promise<void> {
    await this.executor.exec([{ name: 'del', args: [redisKey(key)] }]);
  }
}

const redisKey = (key: string) => `wp:idem:{${key}}`;
