import type { RedisHandle } from '@waypost/redis';

const INTERVAL = 1000;
const DEFAULT_SHARE = 0.85;

/** Watches Redis's memory; past the high-water mark new mail is refused before it is taken. */
export class BackPressure {
  #timer: NodeJS.Timeout | undefined;
  #full: string | undefined;

  /** @param highWater octets; 0 takes 85 % of Redis's own `maxmemory`, and no limit where it has none. */
  constructor(
    private readonly redis: RedisHandle,
    private readonly highWater: number,
  ) {}

  start(): void {
    this.#timer = setInterval(() => void this.check(), INTERVAL);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** @returns why new mail is refused now, undefined when it is welcome. */
  reason(): string | undefined {
    if (!this.redis.group.available) return 'the queue cannot be reached';
    return this.#full;
  }

  /** Reads the memory now. */
  async check(): Promise<void> {
    try {
      const { used, max } = await this.redis.memory();
      const limit = this.highWater || max * DEFAULT_SHARE;
      this.#full = limit > 0 && used >= limit ? 'the queue is full' : undefined;
    } catch {
      // Not reachable: `reason` says so by itself.
    }
  }
}
