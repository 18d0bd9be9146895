import type { Command, Executor } from '@waypost/redis';

/** Sorted set of held messages: id → until when, ms. A message that ended otherwise is in it until it is looked at. */
const HELD = 'wp:held';

export const noteHeld = (id: string, until: number): Command => ({ name: 'zadd', args: [HELD, until, id] });
export const dropHeld = (...ids: readonly string[]): Command => ({ name: 'zrem', args: [HELD, ...ids] });
/** @returns the command whose reply is how many messages are held. */
export const countHeld = (): Command => ({ name: 'zcard', args: [HELD] });

/** @returns ids of messages whose time is over, the longest overdue first. */
export async function overdueHeld(executor: Executor, now: number, count: number): Promise<string[]> {
  const [ids] = await executor.exec([{ name: 'zrangebyscore', args: [HELD, '-inf', now, 'LIMIT', 0, count] }]);
  return ids as string[];
}

/** @returns ids of held messages in the order in which their time ends, from a place in it. */
export async function listHeld(executor: Executor, from: number, count: number): Promise<string[]> {
  const [ids] = await executor.exec([{ name: 'zrange', args: [HELD, from, from + count - 1] }]);
  return ids as string[];
}
