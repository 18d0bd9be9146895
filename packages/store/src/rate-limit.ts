import type { Executor } from '@waypost/redis';
import { takeTokens } from './scripts/rate-limit.js';

/** How a request stands to its limit. */
export interface RateState {
  readonly allowed: boolean;
  readonly limit: number;
  readonly remaining: number;
  /** Seconds until the window is new. */
  readonly reset: number;
}

interface Lease {
  window: number;
  tokens: number;
  /** What the cluster had left when tokens were last fetched. */
  left: number;
}

const WINDOW = 60_000;
/** Part of a window's tokens that a process takes at a time, so that most requests cost no round trip. */
const SHARE = 50;
const KEPT = 10_000;

/** Requests a key may make in a window, over all processes: each takes tokens in handfuls. */
export class RateLimiter {
  readonly #leases = new Map<string, Lease>();

  /** @param window ms; a minute where absent. */
  constructor(
    private readonly executor: Executor,
    private readonly window = WINDOW,
  ) {}

  /** Takes one token. While Redis is away nothing is limited, since nothing is accepted either. */
  async take(key: string, limit: number, now = Date.now()): Promise<RateState> {
    const window = Math.floor(now / this.window);
    let lease = this.#leases.get(key);
    if (!lease || lease.window !== window) {
      lease = { window, tokens: 0, left: limit };
      this.#leases.delete(key);
      this.#leases.set(key, lease);
      if (this.#leases.size > KEPT) this.#leases.delete(this.#leases.keys().next().value as string);
    }
    if (lease.tokens <= 0 && lease.left > 0) await this.#fetch(key, lease, limit);
    const allowed = lease.tokens > 0;
    if (allowed) lease.tokens -= 1;
    const reset = Math.ceil(((window + 1) * this.window - now) / 1000);
    return { allowed, limit, remaining: Math.max(0, lease.tokens + lease.left), reset };
  }

  async #fetch(key: string, lease: Lease, limit: number): Promise<void> {
    const wanted = Math.max(1, Math.floor(limit / SHARE));
    const args = [`wp:rate:{${key}}:${lease.window}`, wanted, limit, this.window * 2];
    try {
      const [[granted, left]] = (await this.executor.exec([{ name: takeTokens.name, script: takeTokens, args }])) as [
        [number, number],
      ];
      lease.tokens += granted;
      lease.left = left;
    } catch {
      lease.tokens += 1;
    }
  }
}
