import { LANES_DUE, laneQueue, type PolicyQueue } from '@waypost/queue';
import type { Executor } from '@waypost/redis';

/** How many jobs a queue holds, by state. */
export interface QueueDepth {
  readonly name: string;
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
}

/** @returns the depth of the policy partitions and of the lanes with work, at most `limit` of those. */
export async function queueDepths(executor: Executor, policy: PolicyQueue, limit = 200): Promise<QueueDepth[]> {
  const [lanes] = (await executor.exec([{ name: 'zrange', args: [LANES_DUE, 0, limit - 1] }])) as [string[]];
  const queues = [
    ...policy.partitions.map((queue, index) => ({ name: `policy-${index}`, queue })),
    ...lanes.map((name) => ({ name, queue: laneQueue(name) })),
  ];
  const replies = (await executor.exec(
    queues.flatMap(({ queue }) => [
      { name: 'llen', args: [queue.key('wait')] },
      { name: 'llen', args: [queue.key('active')] },
      { name: 'zcard', args: [queue.key('delayed')] },
    ]),
  )) as number[];
  return queues.map(({ name }, at) => ({
    name,
    waiting: replies[at * 3] ?? 0,
    active: replies[at * 3 + 1] ?? 0,
    delayed: replies[at * 3 + 2] ?? 0,
  }));
}
