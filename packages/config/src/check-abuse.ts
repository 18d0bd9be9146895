import type { LimitRule } from './abuse-schema.js';
import { Networks } from './networks.js';
import type { Config } from './schema.js';

/** @returns what is wrong with the section `abuse` that its schema cannot say. */
export function checkAbuse({ abuse }: Config): string[] {
  return [
    ...abuse.limits.flatMap(checkLimit),
    ...networks('abuse.bans.exempt', abuse.bans.exempt),
    ...(abuse.bans.max_duration < abuse.bans.duration
      ? ['abuse.bans.max_duration is shorter than abuse.bans.duration']
      : []),
  ];
}

function checkLimit({ per, match, kinds }: LimitRule, index: number): string[] {
  const at = `abuse.limits.${index}`;
  if (per === 'address') return networks(`${at}.match`, match);
  if (per === 'credential' && kinds.some((kind) => kind === 'relay' || kind === 'mx')) {
    return [`${at}: relay and mx listeners know no credential; leave "kinds" out`];
  }
  return [];
}

function networks(at: string, entries: readonly string[]): string[] {
  return entries.flatMap((entry) => {
    try {
      new Networks([entry]);
      return [];
    } catch (error) {
      return [`${at}: ${(error as Error).message}`];
    }
  });
}
