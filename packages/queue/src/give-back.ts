import type { Executor } from '@waypost/redis';
import type { BullQueue } from './bull.js';

const ACTIVE_READ = 10_000;

/**
 * Moves jobs that nobody works on any more from active back to waiting.
 * @param isLost told of each active job who holds its lock, null for nobody.
 * @returns how many were moved.
 */
export async function giveBack(
  executor: Executor,
  queue: BullQueue,
  isLost: (id: string, owner: string | null) => boolean,
): Promise<number> {
  const [active] = (await executor.exec([{ name: 'lrange', args: [queue.key('active'), 0, ACTIVE_READ] }])) as [
    string[],
  ];
  if (active.length === 0) return 0;
  const owners = (await executor.exec(active.map((id) => queue.owner(id)))) as (string | null)[];
  const lost = active.filter((id, at) => isLost(id, owners[at] ?? null));
  if (lost.length === 0) return 0;
  const unlock = lost.map((id) => ({ name: 'del', args: [`${queue.jobKey(id)}:lock`] }));
  // The first pass marks jobs without a lock, the second moves those still without.
  await executor.exec([...unlock, queue.recoverStalled()]);
  await executor.exec([{ name: 'del', args: [queue.key('stalled-check')] }, queue.recoverStalled()]);
  return lost.length;
}
