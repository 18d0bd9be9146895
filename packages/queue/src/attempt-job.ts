import type { LaneJob } from '@waypost/mail';
import type { RedisHandle } from '@waypost/redis';
import type { BullQueue, TakenJob } from './bull.js';
import { isRedisTrouble } from './persist.js';
import type { LaneLedger, LaneSession, Settlement } from './port.js';

/** An internal failure puts a job off by this, ms; one of Redis by less, as it ends for all jobs at once. */
const INTERNAL_RETRY = 30_000;
const REDIS_RETRY = 1_000;

export interface AttemptJobOptions {
  readonly redis: RedisHandle;
  readonly queue: BullQueue;
  readonly ledger: LaneLedger;
  readonly signal: AbortSignal;
  /** Ours on the job's lock. */
  readonly token: string;
  readonly onError: (error: Error) => void;
}

/** Lets a session try a job it has taken. @returns what came of it; a session that throws has its job put off. */
export async function attemptJob(
  session: LaneSession,
  job: LaneJob,
  taken: TakenJob,
  options: AttemptJobOptions,
): Promise<Settlement> {
  const { ledger, redis, queue, signal, token } = options;
  const fence = async () => {
    const [owner, progress] = await redis.group.exec([queue.owner(taken.id), ledger.progress(job)]);
    return { owned: owner === token, ...ledger.open(job, progress) };
  };
  try {
    return await session.attempt(job, { attempt: taken.attempt, signal, fence });
  } catch (error) {
    // Nothing was sent: the fence could not be asked. The record of that waits for Redis anyway.
    if (isRedisTrouble(error)) return { outcomes: [], events: [], retryAt: Date.now() + REDIS_RETRY };
    options.onError(error as Error);
    return { outcomes: [], events: [], retryAt: Date.now() + INTERNAL_RETRY };
  }
}
