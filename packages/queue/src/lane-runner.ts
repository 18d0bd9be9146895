import { setTimeout as sleep } from 'node:timers/promises';
import type { LaneJob } from '@waypost/mail';
import { type Command, type RedisHandle, RedisUncertainError } from '@waypost/redis';
import { attemptJob } from './attempt-job.js';
import { type BullQueue, JobLostError, parseTaken, type Taken, type TakenJob } from './bull.js';
import type { Deliverers } from './deliverers.js';
import type { HeldJobs } from './held-jobs.js';
import { IdleSessions } from './idle-sessions.js';
import { LaneLeases, type Lease, type Refusal } from './lane-leases.js';
import { callOthers, laneQueue, retirement, wakeLane } from './lane-queue.js';
import { lockToken } from './lock-token.js';
import { execUntilDone, isRedisTrouble } from './persist.js';
import type { LaneHandler, LaneLedger, LaneSession, Settlement } from './port.js';
import type { SessionSlots } from './session-slots.js';

export interface LaneRunnerOptions {
  readonly redis: RedisHandle;
  readonly replica: string;
  readonly handler: LaneHandler;
  readonly ledger: LaneLedger;
  readonly idle: number;
  readonly held: HeldJobs;
  readonly slots: SessionSlots;
  readonly deliverers: Deliverers;
  readonly signal: AbortSignal;
  readonly running: () => boolean;
  /** No session is left here; `nextAt` is when the lane has work again, as far as is known. */
  readonly onRetired: (nextAt: number | undefined) => void;
  readonly onError?: (error: Error, context: string) => void;
}

/** A lane that was refused for a rate asks no sooner again, ms: the sessions it has carry on meanwhile. */
const PARKED = 1_000;
/** Messages after which a session makes room for a lane that has none. */
const FAIR_SHARE = 20;
/** Others are called no more often than this, ms. */
const CALL_EVERY = 250;
/** A lane that was refused asks no later again, ms: the configuration or the day may have given it more. */
const PARKED_MOST = 60_000;

/** One lease at work. */
interface Working {
  readonly lease: Lease;
  session: LaneSession;
  /** On the locks of its jobs. */
  readonly token: string;
  /** Messages since it was granted. */
  served: number;
}

/** One lane's sessions in this process. */
export class LaneRunner {
  readonly #queue: BullQueue;
  readonly #leases: LaneLeases;
  readonly #idle: IdleSessions;
  readonly #hurry = new AbortController();
  /** Set while no further session is to be asked for. */
  #parked: NodeJS.Timeout | undefined;
  /** The earliest retry that was set from here and may not be known to idle sessions, ms since the epoch. */
  #retryAt = Number.POSITIVE_INFINITY;
  #wanted = 0;
  #calledAt = 0;
  /** Another process had this one woken. */
  #called = false;
  #wakes = 0;
  #starting = false;
  #done: (() => void) | undefined;

  constructor(
    private readonly lane: string,
    private readonly options: LaneRunnerOptions,
  ) {
    this.#queue = laneQueue(lane);
    this.#leases = new LaneLeases(lane, options);
    this.#idle = new IdleSessions(options.slots, options.idle);
  }

  get sessions(): number {
    return this.#leases.size;
  }

  /** Whether a rate or a suspension holds the lane back. */
  get parked(): boolean {
    return this.#parked !== undefined;
  }

  /**
   * Says that about `count` jobs came in, or that a lease was freed.
   * @param called by another process, which has its hands full: it is not called back.
   */
  wake(count: number, called = false): void {
    this.#wakes += 1;
    const left = this.#idle.wake(count);
    const { limit, size } = this.#leases;
    if (!called && left > 0 && size > 0 && size >= limit / this.options.deliverers.count) this.#shareWork(left);
    this.#called = called;
    this.#wanted = Math.max(this.#wanted, Math.min(left, limit - size));
    void this.#startSessions();
  }

  /**
   * All sessions are at work, and they are this process's part of what the lane may have, or all that it can have: the
   * others are called.
   */
  #shareWork(count: number): void {
    const { deliverers, redis } = this.options;
    const now = performance.now();
    if (deliverers.count < 2 || now - this.#calledAt < CALL_EVERY) return;
    this.#calledAt = now;
    void redis.group.exec(callOthers(this.lane, count)).catch(() => undefined);
  }

  /** The terms of a scope have changed: sessions within it ask anew before their next message. */
  reshaped(scope: string): void {
    this.#leases.reshaped(scope);
  }

  /** What held the lane back may be gone: asks again at once. */
  unpark(): void {
    if (this.#parked === undefined) return;
    clearTimeout(this.#parked);
    this.#parked = undefined;
    this.wake(1);
  }

  /** Resolves when no session is left. */
  drain(): Promise<void> {
    clearTimeout(this.#parked);
    this.#idle.dismiss();
    this.#hurry.abort();
    if (this.#leases.size === 0 && !this.#starting) return Promise.resolve();
    return new Promise((resolve) => {
      this.#done = resolve;
    });
  }

  /** Waits until it may be different, with no session more than there are. */
  #park({ reason, wait }: Refusal): void {
    if (reason === 'connections' || this.#parked !== undefined || !this.options.running()) return;
    const least = this.#leases.size > 0 || reason === 'rate' ? PARKED : 0;
    const pause = Math.min(PARKED_MOST, Math.max(least, wait)) * (1 + Math.random() / 10);
    this.#parked = setTimeout(() => this.unpark(), pause);
    this.#parked.unref();
  }

  async #startSessions(): Promise<void> {
    if (this.#starting || this.#parked !== undefined) return;
    this.#starting = true;
    let inLine = false;
    try {
      while (this.#wanted > 0 && this.options.running()) {
        const { slots } = this.options;
        const count = slots.take(this.#leases.size, this.#wanted);
        inLine = count === 0 && this.#leases.size === 0;
        if (count < this.#wanted && !this.#called) this.#shareWork(this.#wanted - count);
        if (count === 0) break;
        this.#wanted = 0;
        const granted = await this.#lease(count);
        if (granted < count) break;
      }
    } catch (error) {
      this.#report(error, `asking for a lease of ${this.lane}`);
    }
    this.#wanted = 0;
    this.#starting = false;
    if (inLine) return this.options.slots.stand(this.lane, () => this.wake(1));
    // Refused: whoever holds the leases serves the lane, and says so when one is free.
    if (this.#leases.size === 0 && this.#parked === undefined) this.#retired(undefined);
  }

  /** @returns how many of the leases asked for were granted; the slots of the others are free again. */
  async #lease(count: number): Promise<number> {
    let served = 0;
    try {
      const { granted, refusal } = await this.#leases.acquire(count);
      served = granted.length;
      if (refusal) this.#park(refusal);
      for (const lease of granted) void this.#run(lease);
      return served;
    } finally {
      this.options.slots.give(count - served);
    }
  }

  /** The life of one lease: sessions that drain the lane, idle, and are closed. */
  async #run(lease: Lease): Promise<void> {
    const state: Working = {
      lease,
      session: this.options.handler.open(this.lane, lease),
      token: lockToken(this.options.replica),
      served: 0,
    };
    try {
      while (await this.#permitted(lease)) {
        if (!(await this.#drainLane(lease, state))) break;
      }
    } catch (error) {
      this.#report(error, `serving lane ${this.lane}`);
    }
    await this.#close(state.session);
    const last = this.#leases.size === 1 && !this.#starting && this.#parked === undefined;
    const [retired] = await this.#leases.release(lease, last ? [retirement(this.lane)] : []);
    this.options.slots.give(1);
    if (this.#leases.size > 0 || this.#starting) return;
    if (this.#parked !== undefined) this.#done?.();
    else await this.#retire(retired as number | undefined);
  }

  /** Serves the lane for as long as it has work and permits are at hand. @returns whether to go on. */
  async #drainLane(lease: Lease, state: Working): Promise<boolean> {
    const seen = { wakes: 0 };
    let taken: Taken & { readonly withheld?: boolean } = await this.#take(state.token, seen);
    while (taken.job) {
      lease.permits?.spend();
      const goOn = () => this.#mayGoOn(state);
      taken = await this.#work(state, taken.job, seen, goOn);
      state.served += 1;
      if (state.session.alive) continue;
      await this.#close(state.session);
      state.session = this.options.handler.open(this.lane, lease);
    }
    if (!this.options.running()) return false;
    if (state.served >= FAIR_SHARE && this.options.slots.contended) {
      // Others wait for a slot: this lane stands in line behind them.
      this.options.slots.stand(this.lane, () => this.wake(1));
      return false;
    }
    if (taken.withheld) {
      if (lease.permits?.slack) this.#grow();
      return true;
    }
    // A wake that came while the last answer was on its way may be about a job that it did not see.
    if (seen.wakes !== this.#wakes) return true;
    // A slot that others wait for is not kept for work that may come.
    if (this.options.slots.contended) return false;
    return this.#idle.wait(Math.min(taken.nextAt ?? this.#retryAt, this.#retryAt));
  }

  /** Asks for a lease in place of one that ends, as the terms are now. */
  #askAnew(): void {
    this.#wanted = Math.max(this.#wanted, 1);
    void this.#startSessions();
  }

  /** The rate allows more than the sessions there are make use of. */
  #grow(): void {
    this.#wanted = Math.max(this.#wanted, Math.min(1, this.#leases.limit - this.#leases.size));
    void this.#startSessions();
  }

  /** Whether the next job may be taken together with the end of this one. */
  #mayGoOn({ lease, session, served }: Working): boolean {
    if (!session.alive || !this.options.running() || this.#leases.outdated(lease)) return false;
    if (served >= FAIR_SHARE && this.options.slots.contended) return false;
    return !lease.permits || lease.permits.wait() === 0;
  }

  /** Waits until the next message may go. @returns false when it may not for long, and the session is to end. */
  async #permitted(lease: Lease): Promise<boolean> {
    const { permits } = lease;
    if (this.#leases.outdated(lease)) {
      this.#askAnew();
      return false;
    }
    if (!permits) return true;
    if (permits.wait() === undefined) {
      const refusal = await this.#leases.permit(lease);
      if (refusal) {
        // What one source may not, another may; where none may, that answer says for how long.
        if (this.#leases.ways > 1) this.#askAnew();
        else this.#park(refusal);
        return false;
      }
    }
    const wait = permits.wait() ?? 0;
    if (wait > 0) await sleep(wait, undefined, { signal: this.#hurry.signal, ref: false }).catch(() => undefined);
    return this.options.running();
  }

  async #close(session: LaneSession): Promise<void> {
    await session.close().catch((error) => this.#report(error, `closing a session of ${this.lane}`));
  }

  /** @param seen notes the wakes that the answer can know of. */
  async #take(token: string, seen: { wakes: number }): Promise<Taken> {
    seen.wakes = this.#wakes;
    if (this.#retryAt <= Date.now()) this.#retryAt = Number.POSITIVE_INFINITY;
    const { redis } = this.options;
    const [reply] = await redis.group.exec([this.#queue.take(token)]).catch((error: Error) => {
      this.#suspect(error);
      throw error;
    });
    return parseTaken(reply);
  }

  /** One attempt at a job; its record, its end and the next job in one transaction. */
  async #work(
    { lease, session, token }: Working,
    taken: TakenJob,
    seen: { wakes: number },
    goOn: () => boolean,
  ): Promise<Taken & { readonly withheld?: boolean }> {
    const { held, ledger, redis, signal } = this.options;
    const job = JSON.parse(taken.data) as LaneJob;
    held.add(this.#queue, taken.id, token);
    let settled = () => {};
    try {
      const settlement = this.#leases.lapsed(lease) ? PUT_BACK() : await this.#attempt(session, job, taken, token);
      // A connection is not kept without a lease, however long the record waits for Redis.
      settled = this.#leases.whenLapsed(lease, () => void this.#close(session));
      const next = goOn();
      const commands = [...ledger.settle(job, settlement), this.#finish(taken.id, token, settlement, next)];
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
      const answer = parseTaken(replies.at(-1));
      return next ? answer : { withheld: true };
    } catch (error) {
      // Taken over while Redis was away: the outcome is on record, which is what the other one will find.
      if (error instanceof JobLostError) return {};
      throw error;
    } finally {
      settled();
      held.delete(this.#queue, taken.id, token);
    }
  }

  /** The answer may have named a job that is ours now. */
  #suspect(error: Error): void {
    if (!(error instanceof RedisUncertainError)) return;
    this.options.held.suspect(this.#queue, () => wakeLane(this.lane, Date.now(), 1));
  }

  #attempt(session: LaneSession, job: LaneJob, taken: TakenJob, token: string): Promise<Settlement> {
    const onError = (error: Error) =>
      this.options.onError?.(error, `attempting message ${job.id} in lane ${this.lane}`);
    return attemptJob(session, job, taken, { ...this.options, queue: this.#queue, token, onError });
  }

  #finish(id: string, token: string, settlement: Settlement, next: boolean): Command {
    if (settlement.retryAt === undefined) return this.#queue.complete(id, token, next);
    return this.#queue.delay(id, token, settlement.retryAt, next);
  }

  /**
   * With no session left: knows when the lane is due next, or that it is empty.
   * @param known what the retirement said, where it was asked for already.
   */
  async #retire(known: number | undefined): Promise<void> {
    let state = known;
    try {
      state ??= ((await this.options.redis.group.exec([retirement(this.lane)])) as [number])[0];
    } catch (error) {
      this.#report(error, `retiring lane ${this.lane}`);
    }
    if (state === 0 && this.options.running()) return this.wake(1);
    // Leaving with work still there: the others see to it.
    if (state === 0) await this.options.redis.group.exec(callOthers(this.lane, 1)).catch(() => undefined);
    if (this.#leases.size === 0 && !this.#starting) this.#retired(state === undefined || state < 0 ? undefined : state);
  }

  #retired(nextAt: number | undefined): void {
    this.options.onRetired(nextAt);
    this.#done?.();
  }

  #report(error: unknown, context: string): void {
    if (!isRedisTrouble(error)) this.options.onError?.(error as Error, context);
  }
}

/** For a job that was taken with a lease that others may have by now: it was not tried. */
const PUT_BACK = (): Settlement => ({ outcomes: [], events: [], retryAt: Date.now() + 1 });
