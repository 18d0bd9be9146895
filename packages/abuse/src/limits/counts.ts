import type { Command, Executor } from '@waypost/redis';
import { slidingWindow } from './script.js';
import type { Charge } from './usage.js';

interface Known {
  readonly period: number;
  /** What the cluster had counted at `at`. */
  estimate: number;
  at: number;
  /** Counted here and not yet told. */
  pending: number;
  /** Told, and not yet answered. */
  sent: number;
}

/** One count, and how much of it is to be taken. */
export interface Take {
  readonly charge: Charge;
  readonly amount: number;
}

/** How a question came out. */
export interface Taken {
  /** The count that refused, where one did. */
  readonly refused?: Charge;
  /** ms until it may be granted. */
  readonly wait: number;
}

const PREFIX = 'wp:limit:';
/** Counts known here at most; what was counted last stays. */
const KEPT = 50_000;
const FLUSH_AFTER = 50;
/** Counts told in one script, so that Redis never stalls on one for long. */
const FLUSHED = 200;

/**
 * The counts of limits: exact in Redis, and remembered here, so that what follows within a transaction needs no round trip.
 * What is counted afterwards is told a little later, many counts at a time.
 */
export class Counts {
  readonly #known = new Map<string, Known>();
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly executor: Executor) {}

  /** Takes all of it or nothing, by one script. While Redis is away what is known here decides. */
  async take(takes: readonly Take[]): Promise<Taken> {
    const known = takes.map(({ charge }) => this.#of(charge));
    const args = takes.flatMap(({ charge, amount }, at) => {
      const one = known[at] as Known;
      return [PREFIX + charge.key, charge.rate.period, charge.rate.limit, this.#send(one), amount];
    });
    let reply: number[];
    try {
      [reply] = (await this.executor.exec([{ name: slidingWindow.name, script: slidingWindow, args }])) as [number[]];
    } catch {
      for (const one of known) this.#unsent(one);
      return this.#takeAlone(takes, known);
    }
    const [refused = 0, wait = 0, ...estimates] = reply;
    for (const [at, one] of known.entries()) this.#learn(one, estimates[at] ?? 0);
    const charge = takes[refused - 1]?.charge;
    return charge ? { refused: charge, wait } : { wait: 0 };
  }

  /** @returns how much a count has room for, by what is known here; undefined where nothing is known that is recent. */
  room(charge: Charge, notOlder = Number.POSITIVE_INFINITY): number | undefined {
    const one = this.#known.get(charge.key);
    if (!one || Date.now() - one.at > notOlder) return undefined;
    return charge.rate.limit - this.#estimate(one);
  }

  /** Counts what happened, whatever the limit says. */
  add(charge: Charge, amount: number): void {
    if (amount === 0) return;
    this.#of(charge).pending += amount;
    this.#timer ??= setTimeout(() => void this.flush(), FLUSH_AFTER).unref();
  }

  /** Tells Redis what was counted here. What it cannot take now is told with the next. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const due = [...this.#known].filter(([, { pending }]) => pending !== 0);
    const commands: Command[] = [];
    for (let at = 0; at < due.length; at += FLUSHED) {
      const args = due
        .slice(at, at + FLUSHED)
        .flatMap(([key, one]) => [PREFIX + key, one.period, -1, this.#send(one), 0]);
      commands.push({ name: slidingWindow.name, script: slidingWindow, args });
    }
    if (commands.length === 0) return;
    try {
      const replies = (await this.executor.exec(commands)) as number[][];
      const estimates = replies.flatMap((reply) => reply.slice(2));
      for (const [at, [, one]] of due.entries()) this.#learn(one, estimates[at] ?? 0);
    } catch {
      for (const [, one] of due) this.#unsent(one);
    }
  }

  #of({ key, rate }: Charge): Known {
    const known = this.#known.get(key) ?? { period: rate.period, estimate: 0, at: 0, pending: 0, sent: 0 };
    this.#known.delete(key);
    this.#known.set(key, known);
    if (this.#known.size > KEPT) this.#known.delete(this.#known.keys().next().value as string);
    return known;
  }

  #send(one: Known): number {
    const amount = one.pending;
    one.sent += amount;
    one.pending = 0;
    return amount;
  }

  #unsent(one: Known): void {
    one.pending += one.sent;
    one.sent = 0;
  }

  #learn(one: Known, estimate: number): void {
    one.estimate = estimate;
    one.sent = 0;
    one.at = Date.now();
  }

  /** What was counted fades as the window passes over it. */
  #estimate({ estimate, at, period, pending, sent }: Known): number {
    return estimate * Math.max(0, 1 - (Date.now() - at) / period) + pending + sent;
  }

  #takeAlone(takes: readonly Take[], known: readonly Known[]): Taken {
    const over = takes.findIndex(
      ({ charge, amount }, at) => amount > 0 && this.#estimate(known[at] as Known) + amount > charge.rate.limit,
    );
    const refused = takes[over]?.charge;
    if (refused) return { refused, wait: Math.ceil(refused.rate.period / 10) };
    for (const [at, { amount }] of takes.entries()) (known[at] as Known).pending += amount;
    return { wait: 0 };
  }
}
