import type { LaneJob, MessageEvent, MessageRecord, RecipientStatus, Reply } from '@waypost/mail';
import { laneQueue, wakeLane, withdraw } from '@waypost/queue';
import type { Executor } from '@waypost/redis';
import { type MessageStore, recordKey, UNKNOWN_OUTCOMES } from '@waypost/store';
import { jobsOf, type Progress, type QueuedJob } from './jobs.js';
import { fitsJob, type Match } from './match.js';
import { type NoticeDeps, notice } from './notice.js';
import { isOpen } from './open.js';

export interface UnknownDeps {
  readonly executor: Executor;
  readonly store: MessageStore;
}

const PAGE = 100;

/** Goes through the jobs with recipients whose outcome is unknown and that wait for an operator, the oldest first. */
export async function* unknownJobs(
  { executor, store }: UnknownDeps,
  { status: _, ...match }: Match,
  progress: Progress,
  most: number,
): AsyncGenerator<QueuedJob> {
  for (let at = 0; ; at += PAGE) {
    const command = { name: 'zrange', args: [UNKNOWN_OUTCOMES, at, at + PAGE - 1] };
    const [ids] = (await executor.exec([command])) as [string[]];
    for (const id of ids) {
      if (progress.seen >= most) {
        progress.cut = true;
        return;
      }
      progress.seen += 1;
      yield* await fittingJobs(id, match, { executor, store });
    }
    if (ids.length < PAGE) return;
  }
}

async function fittingJobs(
  id: string,
  match: Omit<Match, 'status'>,
  { executor, store }: UnknownDeps,
): Promise<QueuedJob[]> {
  const [record, jobs] = await Promise.all([store.read(id), jobsOf(executor, id, recordKey(id))]);
  const now = Date.now();
  return jobs.filter(({ job, status }) => unknownOf(job, record).length > 0 && fitsJob(job, status, match, now));
}

/** @returns the recipients of a job that an operator is to decide about; indexes into the envelope. */
export function unknownOf({ rcpts }: LaneJob, record: MessageRecord | undefined): number[] {
  return rcpts.map(({ i }) => i).filter((i) => record?.recipients[i]?.state === 'unknown');
}

/** Recipients whose outcome is unknown are sent to again: some may then get the message twice. */
export async function sendAgain(
  { lane, jobId, job }: QueuedJob,
  record: MessageRecord | undefined,
  reason: string,
  { executor, store }: UnknownDeps,
): Promise<boolean> {
  const chosen = unknownOf(job, record);
  const at = Date.now();
  const detail = ['sent again by the operator', reason].filter(Boolean).join(': ');
  const event: MessageEvent = { type: 'Queued', id: job.id, at, rcpts: chosen, lane, detail };
  const outcomes = chosen.map((i) => ({ i, status: carried(record, i, { state: 'queued', at, lane }) }));
  const transition = store.transition({ id: job.id, outcomes, events: [event] });
  // First the states: were it taken in between, those recipients would be left out.
  const replies = await executor.exec([
    ...transition,
    laneQueue(lane).promoteNow(jobId),
    ...wakeLane(lane, Date.now(), 1),
  ]);
  return Number(replies[transition.length]) >= 0;
}

/**
 * Records what an operator knows of recipients whose outcome was unknown; of a bounce the sender is told.
 * @returns whether there were any.
 */
export async function decide(
  state: 'delivered' | 'bounced' | 'canceled',
  { lane, jobId, job, status }: QueuedJob,
  reason: string,
  deps: UnknownDeps & NoticeDeps,
): Promise<boolean> {
  const { executor, store, spool } = deps;
  const record = await store.read(job.id);
  const chosen = unknownOf(job, record);
  if (chosen.length === 0 || status === 'active') return false;
  const rest = job.rcpts.some(({ i }) => isOpen(record, i) && !chosen.includes(i));
  // With nobody else to send to, the job is over.
  if (!rest && (await executor.exec([withdraw(lane, jobId)]))[0] !== 1) return false;
  const at = Date.now();
  const reply = state === 'delivered' ? settled(reason) : refused(reason);
  const event: MessageEvent = { type: EVENTS[state], id: job.id, at, rcpts: chosen, lane, reply };
  const transition = store.transition({
    id: job.id,
    outcomes: chosen.map((i) => ({ i, status: carried(record, i, { state, at, lane, reply }) })),
    events: [event],
    jobs: rest ? [] : [{ first: job.rcpts[0]?.i ?? 0, lane: '' }],
  });
  const told = job.rcpts.filter(({ i }) => chosen.includes(i));
  const notices = state === 'bounced' ? await notice(job, told, reply, deps) : [];
  const [left] = await executor.exec([...transition, ...notices, ...wakeLane(lane, at, 1)]);
  if (typeof left === 'number' && left <= 0) {
    await spool.remove(job.id, job.ref, ...(job.also ?? [])).catch(() => undefined);
  }
  return true;
}

const EVENTS = { delivered: 'Delivery', bounced: 'AdminBounce', canceled: 'Cancellation' } as const;
const settled = (reason: string): Reply => ({
  code: 250,
  enhanced: '2.0.0',
  text: ['Settled as delivered by the operator', reason].filter(Boolean).join(': '),
});
const refused = (reason: string): Reply => ({
  code: 550,
  enhanced: '5.7.1',
  text: reason || 'Given up by the operator',
});

/** What is known of the attempts so far goes on. */
function carried(record: MessageRecord | undefined, i: number, status: RecipientStatus): RecipientStatus {
  const { attempts, remote, reply } = record?.recipients[i] ?? {};
  return {
    ...status,
    ...(attempts === undefined ? {} : { attempts }),
    ...(remote ? { remote } : {}),
    ...(status.reply || !reply ? {} : { reply }),
  };
}
