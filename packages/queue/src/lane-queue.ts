import type { LaneJob } from '@waypost/mail';
import type { Command } from '@waypost/redis';
import { BullQueue } from './bull.js';
import { LANE_PREFIX, LANES_DUE, laneQueueName, WAKE_LANES } from './names.js';
import { retireLane } from './scripts/retire.js';

/** How long a taken job stays its taker's without renewal, ms. */
export const LOCK_DURATION = 60_000;
const CACHED = 10_000;
const queues = new Map<string, BullQueue>();

/** @returns the BullMQ queue of a lane; cheap for lanes used lately. */
export function laneQueue(lane: string): BullQueue {
  let queue = queues.get(lane);
  if (!queue) {
    if (queues.size >= CACHED) queues.clear();
    queue = new BullQueue({ prefix: LANE_PREFIX, name: laneQueueName(lane), lockDuration: LOCK_DURATION });
    queues.set(lane, queue);
  }
  return queue;
}

/** @returns the id of the `chunk`-th job of a message in a lane; the same again for a replayed hand-over. */
export const laneJobId = (messageId: string, chunk: number) => `${messageId}.${chunk}`;

/**
 * Hands jobs to their lanes and wakes who serves them. A job that is still there is not added twice.
 * @param jobs each with its id from `laneJobId`.
 */
export function addToLanes(jobs: readonly { readonly jobId: string; readonly job: LaneJob }[]): Command[] {
  const commands: Command[] = [];
  const counts = new Map<string, number>();
  for (const { jobId, job } of jobs) {
    const queue = laneQueue(job.lane);
    const count = counts.get(job.lane) ?? 0;
    if (count === 0) commands.push(queue.limitEvents());
    counts.set(job.lane, count + 1);
    commands.push(queue.add(jobId, JSON.stringify(job)));
  }
  const now = Date.now();
  for (const [lane, count] of counts) commands.push(...wakeLane(lane, now, count));
  return commands;
}

/** Calls every process to a lane, where the one that answers for it first has its hands full. */
export function callOthers(lane: string, count: number): Command[] {
  return [{ name: 'publish', args: [WAKE_LANES, `+${count} 0 ${lane}`] }];
}

/** Notes that a lane has work at `at` (ms since the epoch), and tells the schedulers. */
export function wakeLane(lane: string, at: number, count: number): Command[] {
  return [
    { name: 'zadd', args: [LANES_DUE, 'LT', at, lane] },
    { name: 'publish', args: [WAKE_LANES, `${count} ${at} ${lane}`] },
  ];
}

const RETIRE_KEYS = [
  ...(['wait', 'active', 'delayed', 'paused', 'lanes'] as const),
  ...(['meta', 'events', 'id', 'marker', 'stalled', 'stalled-check'] as const),
];

/**
 * Removes a lane that is empty, or says when it has work next; see `retireLane`. Jobs that are only active belong to others;
 * were one of them to die, the heartbeat gives its jobs back.
 */
export function retirement(lane: string): Command {
  const queue = laneQueue(lane);
  const keys = RETIRE_KEYS.map((type) => (type === 'lanes' ? LANES_DUE : queue.key(type)));
  return { name: retireLane.name, script: retireLane, args: [...keys, lane, Date.now() + LOCK_DURATION, WAKE_LANES] };
}
