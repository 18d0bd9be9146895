import type { Rate } from '@waypost/config';
import type { Command, Executor } from '@waypost/redis';
import type { Offer } from '@waypost/shaping';
import { HOLD, HOLDS, SLOWED } from './names.js';
import { adjustWindow, liftScope, strikeScope, suspendScope } from './scripts/hold.js';

/** A scope that gets no mail for now. Times in ms since the epoch. */
export interface Suspension {
  readonly scope: string;
  readonly since: number;
  readonly till: number;
  readonly reason: string;
  /** An operator's name, or `rule`. */
  readonly by: string;
  /** One message must go well before all go. */
  readonly probe: boolean;
}

/** A scope that gets less for now. */
export interface Slowed {
  readonly till: number;
  readonly reason: string;
  readonly connections?: number;
  readonly rates?: readonly Rate[];
}

/** Far enough: a suspension without an end. */
export const FOREVER = 100 * 365 * 86_400_000;

/** Suspends a scope for `duration` ms. @param by who did so, for those who wonder. */
export function suspend(scope: string, duration: number, reason: string, by: string): Command {
  return { name: suspendScope.name, script: suspendScope, args: [scope, duration, reason, by, ''] };
}

/** Lifts a suspension; `probed`: only one that has come to its end. */
export function lift(scope: string, probed = false): Command {
  return { name: liftScope.name, script: liftScope, args: [scope, probed ? '1' : ''] };
}

export interface Strike {
  readonly scope: string;
  readonly rule: string;
  readonly after: Rate | undefined;
  readonly action: 'suspend' | 'slow';
  /** ms */
  readonly duration: number;
  readonly reason: string;
  readonly slow?: Pick<Slowed, 'connections' | 'rates'>;
}

/** Counts a reply that a rule looks for; acts when it came often enough. */
export function strike({ scope, rule, after, action, duration, reason, slow = {} }: Strike): Command {
  const { limit, period } = after ?? { limit: 1, period: 0 };
  const args = [scope, rule, limit, period, action, duration, reason, JSON.stringify(slow)];
  return { name: strikeScope.name, script: strikeScope, args };
}

/** Sessions a limit may have: fewer after trouble, one more after success. */
export function adjust(key: string, most: number, more: boolean): Command {
  return { name: adjustWindow.name, script: adjustWindow, args: [key, most, more ? '1' : ''] };
}

/** @returns the suspensions in force, and those waiting for a probe. */
export async function listSuspensions(executor: Executor): Promise<Suspension[]> {
  const [scopes] = (await executor.exec([{ name: 'zrange', args: [HOLDS, 0, -1] }])) as [string[]];
  if (scopes.length === 0) return [];
  const fields = ['till', 'since', 'reason', 'by', 'probe'];
  const replies = (await executor.exec(
    scopes.map((scope) => ({ name: 'hmget', args: [HOLD + scope, ...fields] })),
  )) as (string | null)[][];
  return replies.flatMap(([till, since, reason, by, probe], at) =>
    till
      ? [
          {
            scope: scopes[at] as string,
            since: Number(since),
            till: Number(till),
            reason: reason ?? '',
            by: by ?? '',
            probe: probe === '1',
          },
        ]
      : [],
  );
}

/** @returns what is slowed down now, by scope. */
export async function readSlowed(executor: Executor): Promise<Map<string, Slowed>> {
  const [flat] = (await executor.exec([{ name: 'hgetall', args: [SLOWED] }])) as [string[] | Record<string, string>];
  const pairs = Array.isArray(flat)
    ? flat.flatMap((scope, at) => (at % 2 === 0 ? [[scope, flat[at + 1] as string] as const] : []))
    : Object.entries(flat);
  const now = Date.now();
  const slowed = new Map(pairs.map(([scope, json]) => [scope, JSON.parse(json) as Slowed]));
  const over = [...slowed].filter(([, { till }]) => till <= now).map(([scope]) => scope);
  if (over.length > 0) await executor.exec([{ name: 'hdel', args: [SLOWED, ...over] }]);
  for (const scope of over) slowed.delete(scope);
  return slowed;
}

/** What the key of a limit begins with that holds for a slowed scope; its name follows. */
export const SLOWED_LIMIT = 'slowed:';

/** @returns an offer with the limits of those of its scopes that are slowed down now. */
export function withSlowed(offer: Offer, slowed: ReadonlyMap<string, Slowed>): Offer {
  if (slowed.size === 0) return offer;
  const now = Date.now();
  const limits = offer.scopes.flatMap((scope) => {
    const found = slowed.get(scope);
    if (!found || found.till <= now) return [];
    const { connections, rates = [] } = found;
    return [{ key: SLOWED_LIMIT + scope, rates, ...(connections === undefined ? {} : { connections }) }];
  });
  return limits.length === 0 ? offer : { ...offer, limits: [...offer.limits, ...limits] };
}
