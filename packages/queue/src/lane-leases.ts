import type { RedisHandle } from '@waypost/redis';
import { LEASE_FREED, leaseKey } from './names.js';
import { execUntilDone } from './persist.js';
import type { LaneHandler } from './port.js';
import { acquireLease, releaseLease, renewLeases } from './scripts/lease.js';

export interface LaneLeasesOptions {
  readonly redis: RedisHandle;
  readonly replica: string;
  readonly handler: LaneHandler;
  readonly signal: AbortSignal;
}

/** A lease outlives its holder by this at most, ms. */
const LEASE_DURATION = 30_000;
let serial = 0;

/** The leases this process holds of one lane. Each stands for one session, thus one connection at most. */
export class LaneLeases {
  readonly #held = new Set<string>();
  /** Those on their way back: renewing one would bring it to life again with nobody to release it. */
  readonly #leaving = new Set<string>();
  #renewal: NodeJS.Timeout | undefined;

  constructor(
    private readonly lane: string,
    private readonly options: LaneLeasesOptions,
  ) {}

  get size(): number {
    return this.#held.size;
  }

  /** Leases there may be over all replicas. */
  get limit(): number {
    return this.options.handler.limit(this.lane);
  }

  /** Asks for `count` leases in one round trip. @returns those granted. */
  async acquire(count: number): Promise<string[]> {
    const names = Array.from({ length: count }, () => `${this.options.replica}#${++serial}`);
    const { limit } = this;
    const replies = await this.options.redis.group.exec(
      names.map((name) => ({
        name: acquireLease.name,
        script: acquireLease,
        args: [leaseKey(this.lane), name, limit, LEASE_DURATION],
      })),
    );
    const granted = names.filter((_, at) => replies[at] === 1);
    for (const name of granted) this.#held.add(name);
    if (granted.length > 0 && !this.#renewal) {
      this.#renewal = setInterval(() => void this.#renew(), LEASE_DURATION / 3);
      this.#renewal.unref();
    }
    return granted;
  }

  /** Gives a lease back, however long Redis is away. */
  async release(name: string): Promise<void> {
    const { redis, signal } = this.options;
    this.#leaving.add(name);
    const args = [leaseKey(this.lane), name, this.limit, LEASE_FREED, this.lane];
    await execUntilDone(redis.group, [{ name: releaseLease.name, script: releaseLease, args }], { signal }).catch(
      () => undefined,
    );
    this.#held.delete(name);
    this.#leaving.delete(name);
    if (this.#held.size > 0) return;
    clearInterval(this.#renewal);
    this.#renewal = undefined;
  }

  async #renew(): Promise<void> {
    const names = [...this.#held].filter((name) => !this.#leaving.has(name));
    if (names.length === 0) return;
    const args = [leaseKey(this.lane), LEASE_DURATION, ...names];
    await this.options.redis.group.exec([{ name: renewLeases.name, script: renewLeases, args }]).catch(() => undefined);
  }
}
