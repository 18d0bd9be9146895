import type { Executor } from '@waypost/redis';
import { HELD_BACK, LANE_PREFIX, LANES_DUE, laneQueueName, POLICY_PREFIX } from './names.js';
import type { PolicyQueue } from './policy-queue.js';
import { depthsScript } from './scripts/depths.js';

/** How much is in the queues of one stage. */
export interface Depths {
  /** Jobs that could go now. */
  readonly waiting: number;
  /** Jobs that could go, did not a limit or a suspension hold their lane back. */
  readonly limited: number;
  readonly active: number;
  /** Jobs for later: retries, and mail that was given a time. */
  readonly delayed: number;
  /** For how long the oldest of those that could go has waited, ms. */
  readonly oldest: number;
}

const PAGE = 500;
const NOTHING: Depths = { waiting: 0, limited: 0, active: 0, delayed: 0, oldest: 0 };

/** @returns what waits for policy. */
export function policyDepths(executor: Executor, { partitions }: PolicyQueue, now = Date.now()): Promise<Depths> {
  return depthsOf(
    executor,
    POLICY_PREFIX,
    partitions.map((_, at) => `policy-${at}`),
    now,
  );
}

/** @returns what waits for delivery over all lanes, read page by page, and how many lanes there are. */
export async function laneDepths(executor: Executor, now = Date.now()): Promise<Depths & { readonly lanes: number }> {
  let sum = NOTHING;
  let lanes = 0;
  for (let start = 0; ; start += PAGE) {
    const [, page] = (await executor.exec([
      { name: 'zremrangebyscore', args: [HELD_BACK, '-inf', now] },
      { name: 'zrange', args: [LANES_DUE, start, start + PAGE - 1] },
    ])) as [number, string[]];
    lanes += page.length;
    if (page.length > 0) sum = added(sum, await depthsOf(executor, LANE_PREFIX, page.map(laneQueueName), now));
    if (page.length < PAGE) return { ...sum, lanes };
  }
}

async function depthsOf(executor: Executor, prefix: string, queues: readonly string[], now: number): Promise<Depths> {
  const args = [now, prefix, ...queues];
  const [reply] = await executor.exec([{ name: depthsScript.name, script: depthsScript, args }]);
  const [waiting = 0, limited = 0, active = 0, delayed = 0, oldest = 0] = (reply as unknown[]).map(Number);
  return { waiting, limited, active, delayed, oldest: oldest === 0 ? 0 : Math.max(0, now - oldest) };
}

const added = (a: Depths, b: Depths): Depths => ({
  waiting: a.waiting + b.waiting,
  limited: a.limited + b.limited,
  active: a.active + b.active,
  delayed: a.delayed + b.delayed,
  oldest: Math.max(a.oldest, b.oldest),
});
