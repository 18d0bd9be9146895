import type { BanSettings } from '@waypost/config';
import type { Command, Executor } from '@waypost/redis';
import { BAN_INFO, BANS, banScript, offendScript, unbanScript } from './scripts.js';

/** A network that is let in no more for a time. Times in ms since the epoch. */
export interface Ban {
  readonly network: string;
  readonly since: number;
  readonly till: number;
  readonly reason: string;
  /** Who did so: an operator's key, or `rule`. */
  readonly by: string;
  /** How often it was banned by rule, this time included; 0 by hand. */
  readonly times: number;
}

/** Far enough: a ban without an end. */
export const BANNED_FOR_GOOD = 100 * 365 * 86_400_000;

/** @returns the command that adds points to a network; its reply is `[till ms or 0, 1 where banned now]`. */
export function offend(network: string, points: number, reason: string, settings: BanSettings): Command {
  const { half_life, threshold, duration, factor, max_duration, remember, max_entries } = settings;
  const terms = [half_life, threshold, duration, factor, max_duration, remember, max_entries];
  return { name: offendScript.name, script: offendScript, args: [network, points, ...terms, reason] };
}

/** @returns the command that bans a network for `duration` ms; its reply is when that ends, ms since the epoch. */
export function ban(network: string, duration: number, reason: string, by: string, most: number): Command {
  return { name: banScript.name, script: banScript, args: [network, duration, reason, by, most] };
}

/** @returns the command that lifts a ban; its reply is 1, or 0 where there was none. */
export function unban(network: string): Command {
  return { name: unbanScript.name, script: unbanScript, args: [network] };
}

/** @returns the networks banned now and until when, at most `most` of them, those that last longest first. */
export async function readBans(executor: Executor, most: number): Promise<[string, number][]> {
  const args = [BANS, '+inf', Date.now(), 'WITHSCORES', 'LIMIT', 0, most];
  const [flat] = (await executor.exec([{ name: 'zrevrangebyscore', args }])) as [string[]];
  return flat.flatMap((network, at): [string, number][] => (at % 2 === 0 ? [[network, Number(flat[at + 1])]] : []));
}

/** @returns the bans in force with all that is known of them, those that last longest first. */
export async function listBans(executor: Executor, most: number): Promise<Ban[]> {
  const bans = await readBans(executor, most);
  if (bans.length === 0) return [];
  const args = [BAN_INFO, ...bans.map(([network]) => network)];
  const [infos] = (await executor.exec([{ name: 'hmget', args }])) as [(string | null)[]];
  return bans.map(([network, till], at) => ({
    ...{ since: 0, reason: '', by: '', times: 0 },
    ...(JSON.parse(infos[at] ?? '{}') as Partial<Ban>),
    network,
    till,
  }));
}
