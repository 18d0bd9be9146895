import type { LaneJob } from '@waypost/mail';
import { type Command, type RedisHandle, RedisUncertainError } from '@waypost/redis';
import { type BullQueue, JobLostError, parseTaken, type Taken, type TakenJob } from './bull.js';
import type { HeldJobs } from './held-jobs.js';
import { LaneLeases } from './lane-leases.js';
import { LOCK_DURATION, laneQueue, wakeLane } from './lane-queue.js';
import { LANES_DUE } from './names.js';
import { execUntilDone, isRedisTrouble } from './persist.js';
import type { LaneHandler, LaneLedger, LaneSession, Settlement } from './port.js';
import { retireLane } from './scripts/retire.js';

export interface LaneRunnerOptions {
  readonly redis: RedisHandle;
  readonly replica: string;
  readonly handler: LaneHandler;
  readonly ledger: LaneLedger;
  readonly idle: number;
  readonly held: HeldJobs;
  readonly signal: AbortSignal;
  readonly running: () => boolean;
  /** No session is left here; `nextAt` is when the lane has work again, as far as is known. */
  readonly onRetired: (nextAt: number | undefined) => void;
  readonly onError?: (error: Error, context: string) => void;
}

/** An internal failure puts a job off by this, ms; one of Redis by less, as it ends for all jobs at once. */
const INTERNAL_RETRY = 30_000;
const REDIS_RETRY = 1_000;

/** One lane's sessions in this process. */
export class LaneRunner {
  readonly #queue: BullQueue;
  readonly #leases: LaneLeases;
  /** Sessions waiting for work with their lease and connection kept; the last one in is the first one out. */
  readonly #idle: ((work: boolean) => void)[] = [];
  /** The earliest retry that was set from here and may not be known to idle sessions, ms since the epoch. */
  #retryAt = Number.POSITIVE_INFINITY;
  #wanted = 0;
  #wakes = 0;
  #starting = false;
  #done: (() => void) | undefined;

  constructor(
    private readonly lane: string,
    private readonly options: LaneRunnerOptions,
  ) {
    this.#queue = laneQueue(lane);
    this.#leases = new LaneLeases(lane, options);
  }

  get sessions(): number {
    return this.#leases.size;
  }

  /** Says that about `count` jobs came in, or that a lease was freed. */
  wake(count: number): void {
    this.#wakes += 1;
    let left = count;
    for (
      let resume = left > 0 ? this.#idle.pop() : undefined;
      resume;
      resume = left > 0 ? this.#idle.pop() : undefined
    ) {
      resume(true);
      left -= 1;
    }
    this.#wanted = Math.max(this.#wanted, Math.min(left, this.#leases.limit - this.#leases.size));
    void this.#startSessions();
  }

  /** Resolves when no session is left. */
  drain(): Promise<void> {
    for (const resume of this.#idle.splice(0)) resume(false);
    if (this.#leases.size === 0 && !this.#starting) return Promise.resolve();
    return new Promise((resolve) => {
      this.#done = resolve;
    });
  }

  async #startSessions(): Promise<void> {
    if (this.#starting) return;
    this.#starting = true;
    try {
      while (this.#wanted > 0 && this.options.running()) {
        const count = this.#wanted;
        this.#wanted = 0;
        const granted = await this.#leases.acquire(count);
        for (const lease of granted) void this.#run(lease);
        if (granted.length < count) break;
      }
    } catch (error) {
      this.#report(error, `asking for a lease of ${this.lane}`);
    }
    this.#wanted = 0;
    this.#starting = false;
    // Refused: whoever holds the leases serves the lane, and says so when one is free.
    if (this.#leases.size === 0) this.#retired(undefined);
  }

  /** The life of one lease: sessions that drain the lane, idle, and are closed. */
  async #run(lease: string): Promise<void> {
    let session = this.options.handler.open(this.lane);
    try {
      for (let more = true; more; ) {
        const seen = { wakes: 0 };
        let taken = await this.#take(seen);
        while (taken.job) {
          taken = await this.#work(session, taken.job, seen);
          if (session.alive) continue;
          await this.#close(session);
          session = this.options.handler.open(this.lane);
        }
        // A wake that came while the last answer was on its way may be about a job that it did not see.
        more =
          this.options.running() &&
          (seen.wakes !== this.#wakes ||
            (await this.#idleForWork(Math.min(taken.nextAt ?? this.#retryAt, this.#retryAt))));
      }
    } catch (error) {
      this.#report(error, `serving lane ${this.lane}`);
    }
    await this.#close(session);
    await this.#leases.release(lease);
    if (this.#leases.size === 0 && !this.#starting) await this.#retire();
  }

  async #close(session: LaneSession): Promise<void> {
    await session.close().catch((error) => this.#report(error, `closing a session of ${this.lane}`));
  }

  /** @param seen notes the wakes that the answer can know of. */
  async #take(seen: { wakes: number }): Promise<Taken> {
    seen.wakes = this.#wakes;
    if (this.#retryAt <= Date.now()) this.#retryAt = Number.POSITIVE_INFINITY;
    const { redis, replica } = this.options;
    const [reply] = await redis.group.exec([this.#queue.take(replica)]).catch((error: Error) => {
      this.#suspect(error);
      throw error;
    });
    return parseTaken(reply);
  }

  /**
   * Waits with lease and connection kept.
   * @param nextAt when a delayed job is due as far as is known, else infinity.
   * @returns whether there is work; false once it was idle for long enough.
   */
  #idleForWork(nextAt: number): Promise<boolean> {
    const { idle } = this.options;
    const due = Math.max(0, nextAt - Date.now());
    return new Promise((resolve) => {
      const resume = (work: boolean) => {
        clearTimeout(timer);
        resolve(work);
      };
      const timer = setTimeout(
        () => {
          this.#idle.splice(this.#idle.indexOf(resume), 1);
          resolve(due <= idle);
        },
        Math.min(idle, due),
      );
      this.#idle.push(resume);
    });
  }

  /** One attempt at a job; its record, its end and the next job in one transaction. */
  async #work(session: LaneSession, taken: TakenJob, seen: { wakes: number }): Promise<Taken> {
    const { held, ledger, redis, signal } = this.options;
    const job = JSON.parse(taken.data) as LaneJob;
    held.add(this.#queue, taken.id);
    try {
      const settlement = await this.#attempt(session, job, taken);
      const next = session.alive && this.options.running();
      const commands = [...ledger.settle(job, settlement), this.#finish(taken.id, settlement, next)];
      seen.wakes = this.#wakes;
      let told = false;
      const onRetry = (error: Error) => {
        this.#suspect(error);
        if (!told) this.options.onError?.(error, `recording the outcome of message ${job.id}`);
        told = true;
      };
      const replies = await execUntilDone(redis.group, commands, { signal, onRetry });
      this.#retryAt = Math.min(this.#retryAt, settlement.retryAt ?? this.#retryAt);
      ledger.recorded(job, replies);
      return parseTaken(replies.at(-1));
    } catch (error) {
      // Taken over while Redis was away: the outcome is on record, which is what the other one will find.
      if (error instanceof JobLostError) return {};
      throw error;
    } finally {
      held.delete(this.#queue, taken.id);
    }
  }

  /** The answer may have named a job that is ours now. */
  #suspect(error: Error): void {
    if (!(error instanceof RedisUncertainError)) return;
    this.options.held.suspect(this.#queue, () => wakeLane(this.lane, Date.now(), 1));
  }

  async #attempt(session: LaneSession, job: LaneJob, taken: TakenJob): Promise<Settlement> {
    const { ledger, redis, replica, signal } = this.options;
    const fence = async () => {
      const [owner, progress] = await redis.group.exec([this.#queue.owner(taken.id), ledger.progress(job)]);
      return { owned: owner === replica, open: ledger.open(job, progress) };
    };
    try {
      return await session.attempt(job, { attempt: taken.attempt, signal, fence });
    } catch (error) {
      // Nothing was sent: the fence could not be asked. The record of that waits for Redis anyway.
      if (isRedisTrouble(error)) return { outcomes: [], events: [], retryAt: Date.now() + REDIS_RETRY };
      this.options.onError?.(error as Error, `attempting message ${job.id} in lane ${this.lane}`);
      return { outcomes: [], events: [], retryAt: Date.now() + INTERNAL_RETRY };
    }
  }

  #finish(id: string, settlement: Settlement, next: boolean): Command {
    const { replica } = this.options;
    if (settlement.retryAt === undefined) return this.#queue.complete(id, replica, next);
    return this.#queue.delay(id, replica, settlement.retryAt, next);
  }

  /** With no session left: notes when the lane is due next, or that it is empty. */
  async #retire(): Promise<void> {
    let nextAt: number | undefined;
    try {
      nextAt = await this.#dueNext();
    } catch (error) {
      this.#report(error, `retiring lane ${this.lane}`);
    }
    if (nextAt === 0 && this.options.running()) this.wake(1);
    else if (this.#leases.size === 0 && !this.#starting) this.#retired(nextAt);
  }

  #retired(nextAt: number | undefined): void {
    this.options.onRetired(nextAt);
    this.#done?.();
  }

  /** @returns when the lane has work next, 0 for now, undefined for never. */
  async #dueNext(): Promise<number | undefined> {
    const { group } = this.options.redis;
    const args = RETIRE_KEYS.map((type) => this.#queue.key(type));
    const [state] = (await group.exec([{ name: retireLane.name, script: retireLane, args }])) as [number];
    if (state === 0) return 0;
    if (state > 0) {
      // Jobs that are only active belong to other replicas; were one to die, the heartbeat gives its jobs back.
      const at = state === 1 ? Date.now() + LOCK_DURATION : state;
      await group.exec([{ name: 'zadd', args: [LANES_DUE, at, this.lane] }]);
      return at;
    }
    const [, waiting] = (await group.exec([
      { name: 'zrem', args: [LANES_DUE, this.lane] },
      { name: 'llen', args: [this.#queue.key('wait')] },
    ])) as [number, number];
    if (waiting === 0) return undefined;
    await group.exec([{ name: 'zadd', args: [LANES_DUE, Date.now(), this.lane] }]);
    return 0;
  }

  #report(error: unknown, context: string): void {
    if (!isRedisTrouble(error)) this.options.onError?.(error as Error, context);
  }
}

const RETIRE_KEYS = [
  ...(['wait', 'active', 'delayed', 'paused'] as const),
  ...(['meta', 'events', 'id', 'marker', 'stalled', 'stalled-check'] as const),
];
