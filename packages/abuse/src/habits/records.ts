import type { Command, Executor } from '@waypost/redis';
import { acceptScript, HABIT, HABITS, HELD } from './script.js';

/** What is known of a credential's habit. Times in ms since the epoch. */
export interface Habit {
  readonly credential: string;
  /** Recipients in the hour it last sent in. */
  readonly count: number;
  /** Recipients an hour, by habit. */
  readonly mean: number;
  /** Most in an hour, fading. */
  readonly peak: number;
  /** Hours since it was first seen. */
  readonly hours: number;
  readonly lastSent: number;
  /** Whether its last hour was an anomaly. */
  readonly anomaly: boolean;
  /** Until when it may not send; undefined where it may. */
  readonly heldTill?: number;
}

/** @returns the habits of credentials, who sent last first, at most `most`. @param alpha weight of an hour in the mean. */
export async function listHabits(executor: Executor, most: number, alpha: number): Promise<Habit[]> {
  const [flat, held] = (await executor.exec([
    { name: 'zrevrange', args: [HABITS, 0, most - 1, 'WITHSCORES'] },
    { name: 'hgetall', args: [HELD] },
  ])) as [string[], string[] | Record<string, string>];
  const tills = new Map(heldEntries(held));
  const names = flat.filter((_, at) => at % 2 === 0);
  if (names.length === 0) return [];
  const fields = ['hour', 'count', 'mean', 'peak', 'hours', 'alarmed'];
  const records = (await executor.exec(names.map((name) => ({ name: 'hmget', args: [HABIT + name, ...fields] })))) as (
    | string
    | null
  )[][];
  const now = Date.now();
  return names.map((credential, at) => {
    const [hour, count, mean, peak, hours, alarmed] = (records[at] ?? []).map(Number) as [
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    const till = tills.get(credential) ?? 0;
    return {
      credential,
      count,
      mean: hours > 0 ? mean / (1 - (1 - alpha) ** hours) : 0,
      peak,
      hours,
      lastSent: Number(flat[at * 2 + 1]),
      anomaly: alarmed === hour && records[at]?.[5] !== null,
      ...(till > now ? { heldTill: till } : {}),
    };
  });
}

/** @returns the credentials that may not send now, and until when. */
export async function readHeld(executor: Executor): Promise<[string, number][]> {
  const [held] = (await executor.exec([{ name: 'hgetall', args: [HELD] }])) as [string[] | Record<string, string>];
  const entries = heldEntries(held);
  const now = Date.now();
  const over = entries.filter(([, till]) => till <= now).map(([credential]) => credential);
  if (over.length > 0) await executor.exec([{ name: 'hdel', args: [HELD, ...over] }]);
  return entries.filter(([, till]) => till > now);
}

/** Transactions answer HGETALL with a list or an object, by the version of the protocol. */
function heldEntries(held: string[] | Record<string, string>): [string, number][] {
  if (!Array.isArray(held)) return Object.entries(held).map(([name, till]) => [name, Number(till)]);
  return held.flatMap((name, at): [string, number][] => (at % 2 === 0 ? [[name, Number(held[at + 1])]] : []));
}

/** @returns the command that lets a credential send again and takes its last hour for its habit; its reply is 1, or 0 where it is unknown. */
export function acceptHabit(credential: string): Command {
  return { name: acceptScript.name, script: acceptScript, args: [credential] };
}
