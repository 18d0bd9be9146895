import type { LaneJob } from '@waypost/mail';
import { LANES_DUE, laneQueue } from '@waypost/queue';
import type { Executor } from '@waypost/redis';
import { fitsLane } from '@waypost/shaping';
import { fitsJob, type JobStatus, type Match } from './match.js';

/** A job in a lane. */
export interface QueuedJob {
  readonly jobId: string;
  readonly lane: string;
  readonly status: JobStatus;
  readonly job: LaneJob;
  /** When it is tried next, where that is set; ms since the epoch. */
  readonly dueAt?: number;
}

/** Jobs read in one round trip. */
const PAGE = 200;
/** BullMQ's score of a delayed job is its time, ms, times this, plus its place. */
const DELAYED_SCALE = 0x1000;

/** How far a search went. */
export interface Progress {
  /** Jobs looked at. */
  seen: number;
  /** There are more than could be looked at. */
  cut: boolean;
}

/**
 * Goes through the jobs in the lanes that fit, page by page, so that Redis is never held for long.
 * @param progress counts; a search of more than `most` jobs ends there.
 */
export async function* jobsIn(
  executor: Executor,
  match: Match,
  progress: Progress,
  most: number,
): AsyncGenerator<QueuedJob> {
  const now = Date.now();
  const [lanes] = (await executor.exec([{ name: 'zrange', args: [LANES_DUE, 0, -1] }])) as [string[]];
  for (const lane of lanes.filter((name) => fitsLane(name, match))) {
    for (const list of ['active', 'wait', 'delayed'] as const) {
      for (let at = 0; ; at += PAGE) {
        if (progress.seen >= most) {
          progress.cut = true;
          return;
        }
        const page = await readPage(executor, lane, list, at);
        progress.seen += page.length;
        for (const one of page) if (fitsJob(one.job, one.status, match, now)) yield one;
        if (page.length < PAGE) break;
      }
    }
  }
}

const STATUS = { active: 'active', wait: 'waiting', delayed: 'deferred' } as const;

async function readPage(executor: Executor, lane: string, list: keyof typeof STATUS, at: number): Promise<QueuedJob[]> {
  const queue = laneQueue(lane);
  const command =
    list === 'delayed'
      ? { name: 'zrange', args: [queue.key(list), at, at + PAGE - 1, 'WITHSCORES'] }
      : { name: 'lrange', args: [queue.key(list), at, at + PAGE - 1] };
  const [flat] = (await executor.exec([command])) as [string[]];
  const ids = list === 'delayed' ? flat.filter((_, index) => index % 2 === 0) : flat;
  if (ids.length === 0) return [];
  const data = (await executor.exec(ids.map((id) => ({ name: 'hget', args: [queue.jobKey(id), 'data'] })))) as (
    | string
    | null
  )[];
  return ids.flatMap((jobId, index) => {
    const text = data[index];
    if (!text) return [];
    const job = JSON.parse(text) as LaneJob;
    const due = list === 'delayed' ? { dueAt: Math.floor(Number(flat[2 * index + 1]) / DELAYED_SCALE) } : {};
    return [{ jobId, lane, status: STATUS[list], job, ...due }];
  });
}

/** Finds the jobs of one message: by the lanes that its record names. */
export async function jobsOf(executor: Executor, id: string, recordKey: string): Promise<QueuedJob[]> {
  const [flat] = (await executor.exec([{ name: 'hgetall', args: [recordKey] }])) as [string[] | Record<string, string>];
  const fields = Array.isArray(flat)
    ? flat.flatMap((name, at) => (at % 2 === 0 ? [[name, flat[at + 1] as string] as const] : []))
    : Object.entries(flat);
  const jobs = fields.flatMap(([name, lane]) => {
    const first = /^j(\d+)$/.exec(name)?.[1];
    return first && lane ? [{ jobId: `${id}.${first}`, lane }] : [];
  });
  const found = await Promise.all(jobs.map(({ jobId, lane }) => readJob(executor, jobId, lane)));
  return found.filter((one) => one !== undefined);
}

async function readJob(executor: Executor, jobId: string, lane: string): Promise<QueuedJob | undefined> {
  const queue = laneQueue(lane);
  const [text, score, owner] = (await executor.exec([
    { name: 'hget', args: [queue.jobKey(jobId), 'data'] },
    { name: 'zscore', args: [queue.key('delayed'), jobId] },
    queue.owner(jobId),
  ])) as [string | null, string | null, string | null];
  if (!text) return undefined;
  const job = JSON.parse(text) as LaneJob;
  if (owner) return { jobId, lane, status: 'active', job };
  if (score === null) return { jobId, lane, status: 'waiting', job };
  return { jobId, lane, status: 'deferred', job, dueAt: Math.floor(Number(score) / DELAYED_SCALE) };
}
