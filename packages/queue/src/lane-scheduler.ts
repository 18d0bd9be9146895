import type { RedisHandle } from '@waypost/redis';
import { Deliverers } from './deliverers.js';
import { HeldJobs } from './held-jobs.js';
import { laneQueue } from './lane-queue.js';
import { LaneRunner } from './lane-runner.js';
import { DELIVERERS, LANES_DUE, LEASE_FREED, WAKE_LANES } from './names.js';
import type { LaneHandler, LaneLedger } from './port.js';
import { SessionSlots } from './session-slots.js';

export interface LaneSchedulerOptions {
  readonly redis: RedisHandle;
  /** This process, unique for its life: owner of locks and leases. */
  readonly replica: string;
  readonly handler: LaneHandler;
  readonly ledger: LaneLedger;
  /** How long an idle session keeps its lease and connection, ms. */
  readonly idle: number;
  /** Sessions this process may have over all lanes. */
  readonly maxSessions: () => number;
  /** No other process can be alive. */
  readonly alone?: boolean;
  readonly onError?: (error: Error, context: string) => void;
}

/** Missed wake-ups are found by this sweep, ms; in normal running it finds nothing. */
const SWEEP = 5_000;
/** A lane of another process that is due for longer is looked at too, ms, and at so many sweeps one. */
const OVERDUE = 20_000;
const SWEEPS_FOR_OTHERS = 4;
/** Looks that only time calls for are no closer together, ms: with many retries it would be to look all the time. */
const LOOK_EVERY = 200;
const DUE_BATCH = 500;
/** BullMQ's score of a delayed job is its time, ms, times this, plus its place. */
const DELAYED_SCALE = 0x1000;

/**
 * Serves the lanes that have work: hears when a lane gets some or a lease is freed, asks for leases, and lets each
 * granted session drain its lane. It never polls; one timer waits for the earliest retry.
 */
export class LaneScheduler {
  readonly #runners = new Map<string, LaneRunner>();
  readonly #held: HeldJobs;
  readonly #slots: SessionSlots;
  readonly #deliverers: Deliverers;
  readonly #abort = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #sweeps = 0;
  #sweep: NodeJS.Timeout | undefined;
  #running = false;
  #looking = false;
  #lookAgain = false;

  constructor(private readonly options: LaneSchedulerOptions) {
    this.#held = new HeldJobs({ ...options, group: options.redis.group });
    this.#slots = new SessionSlots(options.maxSessions);
    this.#deliverers = new Deliverers({ ...options, executor: options.redis.group });
  }

  async start(): Promise<void> {
    const { subscriber, group } = this.options.redis;
    this.#running = true;
    this.#held.start();
    subscriber.on('message', this.#onMessage);
    subscriber.on('ready', this.#look);
    group.on('available', this.#look);
    await subscriber.subscribe(WAKE_LANES, LEASE_FREED, DELIVERERS);
    await this.#deliverers.start();
    this.#sweep = setInterval(() => {
      this.#sweeps += 1;
      this.#look();
    }, SWEEP);
    this.#look();
  }

  /** Sessions that are open now, over all lanes. */
  get sessions(): number {
    let count = 0;
    for (const runner of this.#runners.values()) count += runner.sessions;
    return count;
  }

  /** Jobs being attempted now. */
  get attempting(): number {
    return this.#held.size;
  }

  /** Says that the terms of a scope have changed, as it was suspended, slowed or freed. */
  reshaped(scope: string): void {
    for (const runner of this.#runners.values()) runner.reshaped(scope);
  }

  /** Takes no further jobs; resolves when the running attempts are settled, or cut short after `deadline` ms. */
  async drain(deadline: number): Promise<void> {
    this.#running = false;
    clearInterval(this.#sweep);
    clearTimeout(this.#timer);
    const { subscriber, group } = this.options.redis;
    subscriber.off('message', this.#onMessage);
    subscriber.off('ready', this.#look);
    group.off('available', this.#look);
    await this.#deliverers.stop();
    const hurry = setTimeout(() => this.#abort.abort(new Error('the grace period is over')), deadline);
    await Promise.all([...this.#runners.values()].map((runner) => runner.drain()));
    clearTimeout(hurry);
    this.#held.stop();
  }

  readonly #onMessage = (channel: string, message: string): void => {
    if (!this.#running) return;
    if (channel === LEASE_FREED && message === '*') for (const runner of this.#runners.values()) runner.unpark();
    else if (channel === LEASE_FREED) this.#runner(message).wake(1);
    if (channel === DELIVERERS) void this.#deliverers.refresh();
    if (channel !== WAKE_LANES) return;
    const [count = '1', at = '0', ...rest] = message.split(' ');
    const due = Number(at);
    const lane = rest.join(' ');
    // A leading + calls all; else the one that answers for the lane first.
    const called = count.startsWith('+');
    if (!called && !this.#deliverers.mine(lane)) return;
    if (due <= Date.now() + 50) this.#runner(lane).wake(Number(count), called);
    else this.#wakeAt(due);
  };

  #runner(lane: string): LaneRunner {
    let runner = this.#runners.get(lane);
    if (!runner) {
      const started = new LaneRunner(lane, {
        ...this.options,
        held: this.#held,
        slots: this.#slots,
        deliverers: this.#deliverers,
        signal: this.#abort.signal,
        running: () => this.#running,
        onRetired: (nextAt) => {
          if (this.#runners.get(lane) === started) this.#runners.delete(lane);
          if (nextAt !== undefined) this.#wakeAt(nextAt);
        },
      });
      runner = started;
      this.#runners.set(lane, runner);
    }
    return runner;
  }

  #nextAt = Number.POSITIVE_INFINITY;

  #wakeAt(at: number): void {
    if (!this.#running || at >= this.#nextAt) return;
    this.#nextAt = at;
    clearTimeout(this.#timer);
    // A timer may be a millisecond early, and then nothing were due.
    this.#timer = setTimeout(this.#look, Math.min(Math.max(0, at - Date.now()) + 1, 0x7fffffff));
  }

  /** Reads which lanes are due, wakes them, and sets the timer for the next. */
  readonly #look = (): void => {
    if (this.#looking) {
      this.#lookAgain = true;
      return;
    }
    this.#looking = true;
    void this.#readDue()
      .catch((error: Error) => this.options.onError?.(error, 'looking for lanes with work'))
      .finally(() => {
        this.#looking = false;
        if (this.#lookAgain && this.#running) {
          this.#lookAgain = false;
          this.#look();
        }
      });
  };

  async #readDue(): Promise<void> {
    const { group } = this.options.redis;
    if (!this.#running || !group.available) return;
    clearTimeout(this.#timer);
    this.#nextAt = Number.POSITIVE_INFINITY;
    const now = Date.now();
    const others = this.#sweeps % SWEEPS_FOR_OTHERS === 0;
    for (let offset = 0; ; offset += DUE_BATCH) {
      const [due, next] = (await group.exec([
        { name: 'zrange', args: [LANES_DUE, '-inf', now, 'BYSCORE', 'LIMIT', offset, DUE_BATCH, 'WITHSCORES'] },
        { name: 'zrange', args: [LANES_DUE, `(${now}`, '+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES'] },
      ])) as [string[], string[]];
      const open = due
        .filter((_, at) => at % 2 === 0)
        .filter((lane, at) => this.#needsLook(lane, now - Number(due[2 * at + 1]), others));
      const depths = await this.#depths(open, now);
      open.forEach((lane, at) => {
        this.#runner(lane).wake(Math.max(1, depths[at] ?? 0));
      });
      if (next[1] !== undefined) this.#wakeAt(Math.max(Number(next[1]), now + LOOK_EVERY));
      if (due.length < DUE_BATCH * 2) return;
    }
  }

  /** What is served here or held back costs no look at its depth; what nobody has seen to for long is everybody's. */
  #needsLook(lane: string, overdue: number, others: boolean): boolean {
    const runner = this.#runners.get(lane);
    if (runner && (runner.parked || runner.sessions > 0)) return false;
    return this.#deliverers.mine(lane) || (others && overdue > OVERDUE);
  }

  /** Reads how many jobs each lane has that are due. */
  async #depths(lanes: readonly string[], now: number): Promise<number[]> {
    if (lanes.length === 0) return [];
    const replies = (await this.options.redis.group.exec(
      lanes.map(laneQueue).flatMap((queue) => [
        { name: 'llen', args: [queue.key('wait')] },
        { name: 'zcount', args: [queue.key('delayed'), '-inf', (now + 1) * DELAYED_SCALE - 1] },
      ]),
    )) as number[];
    return lanes.map((_, at) => (replies[2 * at] ?? 0) + (replies[2 * at + 1] ?? 0));
  }
}
