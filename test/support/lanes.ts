import type { LaneJob } from '@waypost/mail';
import {
  type AttemptContext,
  addToLanes,
  type Grant,
  type LaneLedger,
  LaneScheduler,
  type LaneSession,
  laneJobId,
  type Settlement,
} from '@waypost/queue';
import type { RedisHandle } from '@waypost/redis';
import type { Offer } from '@waypost/shaping';

/** What a test says of an attempt; the others are settled as delivered. */
export type Attempt = (
  job: LaneJob,
  context: AttemptContext,
  lane: string,
  grant: Grant,
) => Promise<Partial<Settlement> | undefined>;

export interface Recorded {
  readonly scheduler: LaneScheduler;
  /** Message ids in the order they were attempted. */
  readonly attempted: string[];
  readonly errors: Error[];
  /** Sessions that were opened, and those not closed. */
  readonly sessions: { opened: number; open: number };
}

export interface SchedulerOptions {
  readonly redis: RedisHandle;
  readonly replica: string;
  readonly attempt?: Attempt;
  readonly limit?: number;
  /** The ways to serve a lane; its own limit of sessions alone where left out. */
  readonly offers?: (lane: string) => readonly Offer[];
  readonly idle?: number;
  readonly ledger?: LaneLedger;
  /** Attempts a session lives for. */
  readonly life?: number;
  /** Sessions over all lanes. */
  readonly slots?: number;
}

/** Takes every job as open, and keeps nothing. */
export const plainLedger: LaneLedger = {
  settle: (_, { also = [] }) => [...also],
  recorded: () => undefined,
  progress: () => ({ name: 'ping', args: [] }),
  open: (job) => ({ open: job.rcpts.map(({ i }) => i) }),
};

/** A scheduler of real lanes whose sessions do what the test says. */
export function scheduler(options: SchedulerOptions): Recorded {
  const {
    redis,
    replica,
    attempt,
    limit = 5,
    offers = (lane: string) => [plainOffer(lane, limit)],
    idle = 20,
    ledger = plainLedger,
    life = Number.POSITIVE_INFINITY,
    slots = 1000,
  } = options;
  const attempted: string[] = [];
  const errors: Error[] = [];
  const sessions = { opened: 0, open: 0 };
  const open = (lane: string, grant: Grant): LaneSession => {
    sessions.opened += 1;
    sessions.open += 1;
    let left = life;
    return {
      get alive() {
        return left > 0;
      },
      attempt: async (job, context) => {
        left -= 1;
        attempted.push(job.id);
        return { outcomes: [], events: [], ...(await attempt?.(job, context, lane, grant)) };
      },
      close: async () => {
        sessions.open -= 1;
      },
    };
  };
  return {
    scheduler: new LaneScheduler({
      redis,
      replica,
      handler: { open, limit: () => limit, offers },
      maxSessions: () => slots,
      ledger,
      idle,
      onError: (error) => errors.push(error),
    }),
    attempted,
    errors,
    sessions,
  };
}

/** A lane's own limit of sessions and nothing else. */
export const plainOffer = (lane: string, connections: number) => ({
  limits: [{ key: `site:${lane}`, connections, rates: [] }],
  scopes: [`site:${lane}`],
});

export function laneJob(id: string, lane = 'smtp:host:25'): { jobId: string; job: LaneJob } {
  const job: LaneJob = {
    id,
    lane,
    target: { kind: 'sink' },
    route: '*',
    sender: 'a@example.com',
    rcpts: [{ i: 0, to: 'b@example.org' }],
    ref: { at: 'inline', size: 1 },
    receivedAt: Date.now(),
  };
  return { jobId: laneJobId(id, 0), job };
}

/** Hands jobs over, all in one transaction. */
export async function hand(redis: RedisHandle, ids: readonly string[], lane?: string): Promise<void> {
  await redis.group.exec(addToLanes(ids.map((id) => laneJob(id, lane))));
}

export const numbered = (count: number, prefix = 'm') => Array.from({ length: count }, (_, at) => `${prefix}${at}`);

/** Every key of lanes and leases. */
export async function laneKeys(redis: RedisHandle): Promise<string[]> {
  const keys = (await redis.client.keys('wp:l*')) as string[];
  return keys.sort();
}
