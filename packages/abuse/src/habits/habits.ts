import type { HabitSettings } from '@waypost/config';
import type { RedisHandle } from '@waypost/redis';
import { readHeld } from './records.js';
import { HELD_NEWS, observeScript } from './script.js';

export interface Anomaly {
  readonly credential: string;
  /** Recipients in this hour. */
  readonly count: number;
  /** What they might have been. */
  readonly allowed: number;
  /** Until when it may not send, ms since the epoch; 0 where it may. */
  readonly heldTill: number;
}

export interface HabitsOptions {
  readonly redis: Pick<RedisHandle, 'group' | 'subscriber'>;
  readonly settings: () => HabitSettings;
  /** Told once an hour and credential, by the process whose report made it one. */
  readonly onAnomaly?: (anomaly: Anomaly) => void;
  readonly onError?: (error: Error, context: string) => void;
}

/** The credential sends far more than its habit, and is held until someone has looked, or some time has passed. */
export class HeldError extends Error {
  /** @param retryAfter seconds. */
  constructor(readonly retryAfter: number) {
    super('This credential sends far more than it used to, and is held until someone has looked at it');
    this.name = 'HeldError';
  }
}

const HOUR = 3_600_000;
/** Weight of an hour in the mean: it is halved in a week. */
export const HABIT_ALPHA = 1 - 0.5 ** (1 / 168);
/** A peak is halved in two weeks. */
const FADE = 0.5 ** (1 / 336);
const KEPT = 60 * 24 * HOUR;
const MOST = 100_000;
/** Reports go together this often, ms; credentials in one of them. */
const REPORT_EVERY = 1_000;
const AT_A_TIME = 200;
/** Credentials whose reports wait while Redis is away. */
const WAITING = 10_000;
const REREAD = 60_000;

/** What credentials use to send, and which send far more than that. Costs a message no round trip: it is reported each second. */
export class Habits {
  readonly #counts = new Map<string, number>();
  readonly #held = new Map<string, number>();
  #reporting: NodeJS.Timeout | undefined;
  #rereading: NodeJS.Timeout | undefined;

  constructor(private readonly options: HabitsOptions) {}

  async start(): Promise<void> {
    const { subscriber } = this.options.redis;
    subscriber.on('message', this.#onMessage);
    subscriber.on('ready', this.#reread);
    await subscriber.subscribe(HELD_NEWS);
    await this.#read();
    this.#rereading = setInterval(this.#reread, REREAD).unref();
  }

  async stop(): Promise<void> {
    const { subscriber } = this.options.redis;
    subscriber.off('message', this.#onMessage);
    subscriber.off('ready', this.#reread);
    clearInterval(this.#rereading);
    await this.report();
  }

  /** @throws HeldError where the credential may not send now. */
  check(credential: string | undefined): void {
    const till = credential === undefined ? undefined : this.#held.get(credential);
    if (till === undefined || this.options.settings().action === 'alarm') return;
    const left = till - Date.now();
    if (left > 0) throw new HeldError(Math.ceil(left / 1000));
  }

  /** Counts recipients of a message that was accepted. */
  sent(credential: string | undefined, recipients: number): void {
    if (credential === undefined || !this.options.settings().enabled) return;
    if (!this.#counts.has(credential) && this.#counts.size >= WAITING) return;
    this.#counts.set(credential, (this.#counts.get(credential) ?? 0) + recipients);
    this.#reporting ??= setTimeout(() => void this.report(), REPORT_EVERY).unref();
  }

  /** Reports what was counted. What Redis cannot take now is reported with the next. */
  async report(): Promise<void> {
    clearTimeout(this.#reporting);
    this.#reporting = undefined;
    const { factor, minimum, action, hold_for } = this.options.settings();
    const terms = [HOUR, HABIT_ALPHA, FADE, factor, minimum, action === 'hold' ? hold_for : 0, KEPT, MOST];
    const all = [...this.#counts];
    this.#counts.clear();
    for (let at = 0; at < all.length; at += AT_A_TIME) {
      const some = all.slice(at, at + AT_A_TIME);
      const command = { name: observeScript.name, script: observeScript, args: [...terms, ...some.flat()] };
      try {
        const [replies] = (await this.options.redis.group.exec([command])) as [[number, number, number, number][]];
        for (const [index, reply] of replies.entries()) this.#learn(some[index]?.[0] ?? '', reply);
      } catch {
        for (const [credential, recipients] of some) this.sent(credential, recipients);
      }
    }
  }

  #learn(credential: string, [anomaly, count, allowed, heldTill]: [number, number, number, number]): void {
    if (heldTill > 0) this.#held.set(credential, heldTill);
    if (anomaly === 1) this.options.onAnomaly?.({ credential, count, allowed, heldTill });
  }

  async #read(): Promise<void> {
    const held = await readHeld(this.options.redis.group);
    this.#held.clear();
    for (const [credential, till] of held) this.#held.set(credential, till);
  }

  readonly #reread = (): void => {
    this.#read().catch((error: Error) => this.options.onError?.(error, 'held credentials could not be read'));
  };

  readonly #onMessage = (channel: string, text: string): void => {
    if (channel !== HELD_NEWS) return;
    const { credential, till } = JSON.parse(text) as { credential: string; till: number };
    if (till > 0) this.#held.set(credential, till);
    else this.#held.delete(credential);
  };
}
