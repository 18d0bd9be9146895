import { type Config, laneOf, parseTarget, routeId } from '@waypost/config';
import { domainOf, type JobRecipient, type LaneJob, type MessageEvent } from '@waypost/mail';
import { addToLanes, laneJobId, withdraw } from '@waypost/queue';
import type { Executor } from '@waypost/redis';
import { planOf } from '@waypost/shaping';
import type { MessageStore } from '@waypost/store';
import type { QueuedJob } from './jobs.js';
import { isOpen } from './open.js';

export interface RerouteDeps {
  readonly executor: Executor;
  readonly store: MessageStore;
  readonly config: () => Config;
}

/** Where mail is to go instead. */
export interface Elsewhere {
  /** As a route's `to`; where absent it keeps its next hop. */
  readonly to?: string | undefined;
  /** Egress pool; where absent it keeps its own. */
  readonly pool?: string | undefined;
}

/**
 * Gives a job another next hop or pool. Its attempts so far count on. Were this process to die in between, the reconciler
 * would send the job through policy again.
 * @returns whether it was moved: not where it is being sent, or would stay where it is.
 * @throws TargetError where `to` is no next hop.
 */
export async function reroute(
  { lane, jobId, job }: QueuedJob,
  elsewhere: Elsewhere,
  reason: string,
  { executor, store, config }: RerouteDeps,
): Promise<boolean> {
  const record = await store.read(job.id);
  const open = job.rcpts.filter(({ i }) => isOpen(record, i));
  const jobs = movedJobs({ ...job, rcpts: open }, elsewhere, config());
  if (open.length === 0 || jobs.every((one) => one.lane === lane)) return false;
  const [out] = await executor.exec([withdraw(lane, jobId)]);
  if (out !== 1) return false;
  const attempts = Math.max(0, ...open.map(({ i }) => record?.recipients[i]?.attempts ?? 0));
  const now = Date.now();
  const events = jobs.map(
    (one): MessageEvent => ({
      type: 'Reroute',
      id: job.id,
      at: now,
      rcpts: one.rcpts.map(({ i }) => i),
      lane: one.lane,
      detail: [`from ${lane} by the operator`, reason].filter(Boolean).join(': '),
    }),
  );
  const firsts = jobs.map((one) => ({ first: one.rcpts[0]?.i ?? 0, lane: one.lane }));
  const before = job.rcpts[0]?.i ?? 0;
  const gone = firsts.some(({ first }) => first === before) ? [] : [{ first: before, lane: '' }];
  await executor.exec([
    ...store.transition({ id: job.id, outcomes: [], events, jobs: [...gone, ...firsts] }),
    ...addToLanes(
      jobs.map((one) => ({ jobId: laneJobId(job.id, one.rcpts[0]?.i ?? 0), job: { ...one, tried: attempts } })),
    ),
  ]);
  return true;
}

/** One job for each domain where the domain decides the next hop. */
function movedJobs(job: LaneJob, { to, pool = job.pool }: Elsewhere, config: Config): LaneJob[] {
  const { tenant, tags } = job;
  // A next hop of a route brings that route's credentials and TLS rules; any other has none, least of all those of the old.
  const route = to === undefined ? undefined : config.routes.find((one) => one.to === to);
  return [...byDomain(job.rcpts, to === 'mx')].map(([domain, rcpts]) => {
    const target = to === undefined ? job.target : parseTarget(to, domain);
    const lane = planOf(config).lane({ base: laneOf(target), domain, tenant, tags, pool });
    return {
      ...job,
      lane,
      target,
      rcpts,
      moved: 0,
      ...(to === undefined ? {} : { route: route ? routeId(route) : '' }),
      ...(pool === undefined ? {} : { pool }),
    };
  });
}

function byDomain(rcpts: readonly JobRecipient[], apart: boolean): Map<string, JobRecipient[]> {
  const groups = new Map<string, JobRecipient[]>();
  for (const rcpt of rcpts) {
    const domain = domainOf(apart ? rcpt.to : (rcpts[0]?.to ?? ''));
    groups.set(domain, [...(groups.get(domain) ?? []), rcpt]);
  }
  return groups;
}
