import type { CallForwardSettings, LimitRule } from './abuse-schema.js';
import { Networks } from './networks.js';
import { parseTarget } from './route.js';
import type { Config } from './schema.js';

/** @returns what is wrong with the section `abuse`, and with what logs tell of people, that a schema cannot say. */
export function checkAbuse({ abuse, telemetry }: Config): string[] {
  return [
    ...(telemetry.pii === 'hashed' && !telemetry.pii_key
      ? [
          'telemetry.pii is hashed, which needs telemetry.pii_key (or pii_key_file), such as from "openssl rand -hex 32"',
        ]
      : []),
    ...abuse.limits.flatMap(checkLimit),
    ...networks('abuse.bans.exempt', abuse.bans.exempt),
    ...networks('abuse.lists.allow', abuse.lists.allow),
    ...networks('abuse.lists.deny', abuse.lists.deny),
    ...everybody('abuse.lists', [...abuse.lists.allow, ...abuse.lists.deny]),
    ...checkCallForward(abuse.recipients.call_forward),
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

function everybody(at: string, entries: readonly string[]): string[] {
  return entries.filter((entry) => /\/0+$/.test(entry)).map((entry) => `${at}: ${entry} is everybody`);
}

function checkCallForward({ to }: CallForwardSettings): string[] {
  if (to === undefined) return [];
  const at = 'abuse.recipients.call_forward.to';
  try {
    const { kind } = parseTarget(to, '');
    return ['smtp', 'lmtp', 'lmtp-unix'].includes(kind) ? [] : [`${at}: "${to}" is not smtp:// or lmtp://`];
  } catch (error) {
    return [`${at}: ${(error as Error).message}`];
  }
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
