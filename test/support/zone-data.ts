import type { Records, Resolve } from '@waypost/msgauth';

/** Names in lower case and their records as test suites write them: `{ A: 192.0.2.1 }`, `{ MX: [10, host] }`, `TIMEOUT`. */
export type ZoneData = Readonly<Record<string, readonly ('TIMEOUT' | Readonly<Record<string, unknown>>)[]>>;

const failure = (code: string) => Object.assign(new Error(code), { code });

/**
 * A name server over data of a suite. SPF records are those of type 99, which the suites mean as TXT where a name has none
 * of its own.
 */
export function zoneResolver(zone: ZoneData): Resolve {
  const look = (name: string, kind: keyof Records, depth = 0): unknown[] => {
    const records = zone[name.toLowerCase().replace(/\.$/, '')];
    if (!records || depth > 8) throw failure('ENOTFOUND');
    const pairs = records.flatMap((record) => (record === 'TIMEOUT' ? [] : Object.entries(record)));
    const alias = pairs.find(([type]) => type === 'CNAME');
    if (alias) return look(String(alias[1]), kind, depth + 1);
    const ownText = pairs.some(([type]) => type === 'TXT');
    const found = pairs.flatMap(([type, value]) => {
      const meant = type === 'SPF' && !ownText ? 'TXT' : type;
      return meant === kind && value !== 'NONE' ? [given(kind, value)] : [];
    });
    if (found.length > 0) return found;
    throw failure(records.includes('TIMEOUT') ? 'ETIMEOUT' : 'ENODATA');
  };
  return async (name, kind) => look(name, kind) as never;
}

function given(kind: keyof Records, value: unknown): unknown {
  if (kind === 'TXT') return Array.isArray(value) ? value.join('') : String(value);
  if (kind === 'MX') return { priority: (value as [number, string])[0], exchange: (value as [number, string])[1] };
  return value;
}

/** A name server that has TXT records only. */
export const textResolver = (texts: Readonly<Record<string, string>>): Resolve =>
  zoneResolver(Object.fromEntries(Object.entries(texts).map(([name, text]) => [name.toLowerCase(), [{ TXT: text }]])));
