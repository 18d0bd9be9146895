import type { Config } from '@waypost/config';
import type { MessageEvent, RecipientStatus } from '@waypost/mail';
import { laneQueue, wakeLane, withdraw } from '@waypost/queue';
import type { Executor } from '@waypost/redis';
import type { Spool } from '@waypost/spool';
import type { Committer, MessageStore } from '@waypost/store';
import type { QueuedJob } from './jobs.js';
import { notice } from './notice.js';
import { isOpen } from './open.js';
import { type Elsewhere, reroute } from './reroute.js';
import { decide, sendAgain, unknownOf } from './unknown.js';

export interface ActionDeps {
  readonly executor: Executor;
  readonly store: MessageStore;
  readonly spool: Spool;
  readonly committer: Committer;
  readonly config: () => Config;
}

export type Action = 'retry' | 'cancel' | 'bounce' | 'reroute' | 'settle';

/** What is to be done, and where to for `reroute`. */
export interface Order extends Elsewhere {
  readonly action: Action;
  readonly reason: string;
  /** About recipients whose outcome is unknown: of those alone, or of them too where messages are named. */
  readonly unknown?: 'only' | 'too';
}

/**
 * Does something to a job in a lane. A job that is being sent is left alone, so that nothing is sent twice and no outcome is
 * lost; one that ends between the steps is found by the reconciler.
 * @returns whether anything was changed.
 */
export async function act(order: Order, queued: QueuedJob, deps: ActionDeps): Promise<boolean> {
  const { action, reason } = order;
  if (queued.status === 'active') return false;
  if (action === 'retry') return order.unknown ? retryUnknown(order, queued, deps) : retryNow(queued, deps);
  if (action === 'settle') return decide('delivered', queued, reason, deps);
  if (order.unknown === 'only' && action !== 'reroute') {
    return decide(action === 'cancel' ? 'canceled' : 'bounced', queued, reason, deps);
  }
  return action === 'reroute' ? reroute(queued, order, reason, deps) : end(action, queued, reason, deps);
}

/** What is put off until later is due at once. */
async function retryNow({ lane, jobId, status }: QueuedJob, { executor }: ActionDeps): Promise<boolean> {
  if (status !== 'deferred') return false;
  const [reply] = await executor.exec([laneQueue(lane).promoteNow(jobId), ...wakeLane(lane, Date.now(), 1)]);
  return Number(reply) >= 0;
}

/** Those that may have the message are sent to again only where they are meant. */
async function retryUnknown(order: Order, queued: QueuedJob, deps: ActionDeps): Promise<boolean> {
  if (queued.status !== 'deferred') return false;
  const record = await deps.store.read(queued.job.id);
  if (unknownOf(queued.job, record).length > 0) return sendAgain(queued, record, order.reason, deps);
  return order.unknown === 'too' && retryNow(queued, deps);
}

async function end(
  action: 'cancel' | 'bounce',
  { lane, jobId, job }: QueuedJob,
  reason: string,
  deps: ActionDeps,
): Promise<boolean> {
  const { executor, store, spool } = deps;
  const record = await store.read(job.id);
  const [out] = await executor.exec([withdraw(lane, jobId)]);
  if (out !== 1) return false;
  const now = Date.now();
  const open = job.rcpts.filter(({ i }) => isOpen(record, i));
  const reply = { code: 550, enhanced: '5.7.1', text: reason || 'Bounced by the operator' };
  const status: RecipientStatus =
    action === 'cancel' ? { state: 'canceled', at: now, lane } : { state: 'bounced', at: now, lane, reply };
  const event: MessageEvent = {
    type: action === 'cancel' ? 'Cancellation' : 'AdminBounce',
    id: job.id,
    at: now,
    rcpts: open.map(({ i }) => i),
    lane,
    ...(action === 'bounce' ? { reply } : {}),
    ...(reason ? { detail: reason } : {}),
  };
  const transition = store.transition({
    id: job.id,
    outcomes: open.map(({ i }) => ({ i, status })),
    events: [event],
    jobs: [{ first: job.rcpts[0]?.i ?? 0, lane: '' }],
  });
  const notices = action === 'bounce' ? await notice(job, open, reply, deps) : [];
  const [left] = await executor.exec([...transition, ...notices, ...wakeLane(lane, now, 1)]);
  if (typeof left === 'number' && left <= 0)
    await spool.remove(job.id, job.ref, ...(job.also ?? [])).catch(() => undefined);
  return true;
}
