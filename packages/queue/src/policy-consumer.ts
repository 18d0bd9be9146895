import { type Command, type RedisHandle, RedisUncertainError } from '@waypost/redis';
import { type BullQueue, JobLostError, parseTaken, type Taken, type TakenJob } from './bull.js';
import { HeldJobs } from './held-jobs.js';
import { lockToken } from './lock-token.js';
import { WAKE_POLICY } from './names.js';
import { execUntilDone, isRedisTrouble } from './persist.js';
import type { PolicyJob, PolicyQueue } from './policy-queue.js';

export interface PolicyConsumerOptions {
  readonly redis: RedisHandle;
  readonly queue: PolicyQueue;
  readonly replica: string;
  /** Jobs worked on at a time in this process. */
  readonly concurrency: number;
  /**
   * Evaluates the messages of one job.
   * @returns the commands that record the verdicts; they run in one transaction with the job's completion.
   * @throws anything: the job is tried again after `retry`.
   */
  readonly handle: (job: PolicyJob) => Promise<Command[]>;
  /** Called with a job, the same object that `handle` had, once its commands are recorded. */
  readonly recorded?: (job: PolicyJob) => void;
  /** ms until a job whose handling failed is tried again. */
  readonly retry: number;
  readonly onError?: (error: Error, context: string) => void;
}

/** Missed wake-ups are found by this sweep, ms. */
const SWEEP = 15_000;
/** How soon a job is tried again that Redis kept from being judged, ms. */
const REDIS_RETRY = 1_000;

/** Jobs that a place takes from one partition in a row while others wait for a place. */
const TURN = 64;

/** Where a worker takes its jobs, and its token on their locks. */
interface Work {
  readonly partition: number;
  readonly queue: BullQueue;
  readonly token: string;
}

/** Takes jobs from the policy partitions, woken by publish. */
export class PolicyConsumer {
  readonly #held: HeldJobs;
  readonly #abort = new AbortController();
  readonly #timers = new Map<number, { at: number; timer: NodeJS.Timeout }>();
  readonly #wakes: number[];
  readonly #serving: boolean[];
  /** Partitions that may hold more jobs than wake-ups told of. */
  readonly #backlog = new Set<number>();
  /** Partitions left alone because all places were taken. */
  readonly #starved = new Set<number>();
  #running = false;
  #active = 0;
  #sweep: NodeJS.Timeout | undefined;
  #idle: (() => void) | undefined;

  constructor(private readonly options: PolicyConsumerOptions) {
    this.#held = new HeldJobs({ ...options, group: options.redis.group });
    this.#wakes = options.queue.partitions.map(() => 0);
    this.#serving = options.queue.partitions.map(() => false);
  }

  async start(): Promise<void> {
    const { subscriber, group } = this.options.redis;
    this.#running = true;
    this.#held.start();
    subscriber.on('message', this.#onMessage);
    subscriber.on('ready', this.#wakeAll);
    group.on('available', this.#wakeAll);
    await subscriber.subscribe(WAKE_POLICY);
    this.#sweep = setInterval(this.#wakeAll, SWEEP);
    this.#wakeAll();
  }

  /** Takes no further jobs; resolves when the running ones are recorded, or cut short after `deadline` ms. */
  async drain(deadline: number): Promise<void> {
    this.#running = false;
    const { subscriber, group } = this.options.redis;
    subscriber.off('message', this.#onMessage);
    subscriber.off('ready', this.#wakeAll);
    group.off('available', this.#wakeAll);
    clearInterval(this.#sweep);
    for (const { timer } of this.#timers.values()) clearTimeout(timer);
    const hurry = setTimeout(() => this.#abort.abort(new Error('the grace period is over')), deadline);
    if (this.#active > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    clearTimeout(hurry);
    this.#held.stop();
  }

  readonly #onMessage = (channel: string, message: string): void => {
    if (channel !== WAKE_POLICY) return;
    const [partition = 0, at = 0] = message.split(' ').map(Number);
    if (at > Date.now()) this.#wakeAt(partition, at);
    else this.#wake(partition);
  };

  readonly #wakeAll = (): void => {
    this.#wakes.forEach((_, partition) => {
      this.#backlog.add(partition);
      this.#wake(partition);
    });
  };

  #wakeAt(partition: number, at: number): void {
    const set = this.#timers.get(partition);
    if (!this.#running || (set && set.at <= at)) return;
    clearTimeout(set?.timer);
    const run = () => {
      this.#timers.delete(partition);
      this.#wake(partition);
    };
    const timer = setTimeout(run, Math.min(Math.max(1, at - Date.now()), 0x7fffffff));
    timer.unref();
    this.#timers.set(partition, { at, timer });
  }

  #wake(partition: number): void {
    if (!this.#running || this.#wakes[partition] === undefined) return;
    this.#wakes[partition] += 1;
    if (!this.#serving[partition]) void this.#fetch(partition);
  }

  /** Fetches from one partition while it has jobs and there is room; jobs themselves run side by side. */
  async #fetch(partition: number): Promise<void> {
    const queue = this.options.queue.partitions[partition] as BullQueue;
    this.#serving[partition] = true;
    try {
      for (let more = true; more && this.#running; ) {
        if (this.#active >= this.options.concurrency) {
          this.#starved.add(partition);
          break;
        }
        const wakes = this.#wakes[partition];
        this.#active += 1;
        const token = lockToken(this.options.replica);
        const taken = await this.#take(partition, queue, token).catch((error: Error) => {
          this.#ended();
          throw error;
        });
        // A job keeps the place that its taking had.
        if (taken.job) void this.#work(partition, taken.job, token);
        else this.#ended();
        if (taken.nextAt !== undefined) this.#wakeAt(partition, taken.nextAt);
        if (!taken.job) this.#backlog.delete(partition);
        more = this.#backlog.has(partition) || wakes !== this.#wakes[partition];
      }
    } catch (error) {
      if (!isRedisTrouble(error)) this.options.onError?.(error as Error, 'taking a policy job');
    }
    this.#serving[partition] = false;
  }

  async #take(partition: number, queue: BullQueue, token: string): Promise<Taken> {
    const { redis } = this.options;
    const [reply] = await redis.group.exec([queue.take(token)]).catch((error: Error) => {
      this.#suspect(partition, queue, error);
      throw error;
    });
    return parseTaken(reply);
  }

  /** The answer may have named a job that is ours now. */
  #suspect(partition: number, queue: BullQueue, error: Error): void {
    if (!(error instanceof RedisUncertainError)) return;
    this.#held.suspect(queue, () => [{ name: 'publish', args: [WAKE_POLICY, `${partition} 0`] }]);
  }

  /** Works on a job and on those that its completion brings along, in the place of whoever took it. */
  async #work(partition: number, first: TakenJob, token: string): Promise<void> {
    const queue = this.options.queue.partitions[partition] as BullQueue;
    try {
      let turn = 0;
      for (let job: TakenJob | undefined = first; job; ) {
        turn += 1;
        const taken: Taken = await this.#handle({ partition, queue, token }, job, turn);
        if (taken.nextAt !== undefined) this.#wakeAt(partition, taken.nextAt);
        job = taken.job;
      }
    } catch (error) {
      if (!isRedisTrouble(error)) this.options.onError?.(error as Error, 'working on a policy job');
    } finally {
      this.#ended();
    }
  }

  async #handle({ partition, queue, token }: Work, taken: TakenJob, turn: number): Promise<Taken> {
    const { redis } = this.options;
    this.#held.add(queue, taken.id, token);
    try {
      const job = JSON.parse(taken.data) as PolicyJob;
      const goesOn = () => this.#goesOn(partition, turn);
      const finish = await this.#evaluate({ partition, queue, token }, taken.id, job, goesOn);
      const replies = await execUntilDone(redis.group, finish.commands, {
        signal: this.#abort.signal,
        onRetry: (error) => {
          this.#suspect(partition, queue, error);
          this.options.onError?.(error, 'recording verdicts');
        },
      });
      if (finish.judged) this.options.recorded?.(job);
      return parseTaken(replies.at(-1));
    } catch (error) {
      if (error instanceof JobLostError) return {};
      throw error;
    } finally {
      this.#held.delete(queue, taken.id, token);
    }
  }

  /** Whether a partition may take its next job at once; after its turn another that found no place goes first. */
  #goesOn(partition: number, turn: number): boolean {
    if (!this.#running) return false;
    if (turn < TURN || this.#starved.size === 0) return true;
    this.#starved.add(partition);
    return false;
  }

  /** @returns what ends the job: its verdicts, or its return for later. */
  async #evaluate(
    { partition, queue, token }: Work,
    id: string,
    job: PolicyJob,
    goesOn: () => boolean,
  ): Promise<{ commands: Command[]; judged: boolean }> {
    const { handle, retry } = this.options;
    try {
      const commands = await handle(job);
      return { commands: [...commands, queue.complete(id, token, goesOn())], judged: true };
    } catch (error) {
      this.options.onError?.(error as Error, `evaluating policy job ${id}`);
      // Trouble with Redis ends for all jobs at once, and what is recorded here waits for that anyway.
      const pause = isRedisTrouble(error) ? Math.min(REDIS_RETRY, retry) : retry;
      const at = Date.now() + pause;
      // BullMQ's answer does not tell when it is due, and by then another process may be the only one left.
      const wake: Command = { name: 'publish', args: [WAKE_POLICY, `${partition} ${at}`] };
      return { commands: [wake, queue.delay(id, token, at, goesOn())], judged: false };
    }
  }

  #ended(): void {
    this.#active -= 1;
    // A copy: those that find no place again are put back while this runs.
    const starved = [...this.#starved];
    this.#starved.clear();
    for (const partition of starved) {
      this.#backlog.add(partition);
      this.#wake(partition);
    }
    if (this.#active === 0) this.#idle?.();
  }
}
