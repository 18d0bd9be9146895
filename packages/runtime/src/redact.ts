import { createHmac } from 'node:crypto';

/** What logs tell of people: addresses in full, as keyed hashes, or not at all. */
export interface PiiRules {
  readonly pii: 'full' | 'hashed' | 'none';
  /** Secret of the hashes. */
  readonly key?: string | undefined;
}

/** Makes of a log line's fields and texts what may be written. */
export type Redact = <T>(value: T) => T;

/** What needs a closer look; most texts have nothing of it. */
const SUSPECT = /@|%40|wp_|:\/\/|\n|\bAUTH\b|\bBearer\b/i;
/** Quoted local parts, those of SMTPUTF8, and `=` as in VERP, where a second address hides. */
const ADDRESS =
  /(?:"(?:[^"\\]|\\.){0,64}"|[^\s<>()[\]\\,;:"@…]{1,128})(?:@|%40)(?:\[[0-9a-fA-F.:IPv]{2,60}\]|[\p{L}\p{N}](?:[\p{L}\p{N}._-]{0,253}[\p{L}\p{N}])?)/giu;
/** Our API keys (the id may be shown), HTTP's credentials, what follows AUTH, and passwords in URLs. */
const SECRETS: readonly (readonly [RegExp, string])[] = [
  [/\b(wp_[0-9a-z]+)_[\w-]{16,}/gi, '$1_…'],
  [/\b(Bearer)\s+\S+/gi, '$1 …'],
  [/\b(AUTH\s+[A-Z0-9-]+)\s+\S+/gi, '$1 …'],
  [/(:\/\/)[^\s/@]*:[^\s/@]*@/g, '$1…@'],
];
/** Longer texts, and more lines, are a message's and not an error's. */
const LONGEST = 1000;
const MOST_LINES = 3;
const DEEPEST = 6;

/**
 * Secrets and the bodies of messages are taken out always, addresses by the rules.
 * @throws Error where hashes are wanted without a key.
 */
export function createRedact(rules: PiiRules): Redact {
  const hide = hider(rules);
  const text = (value: string): string => {
    if (value.length <= LONGEST && !SUSPECT.test(value)) return value;
    let shown = cut(value);
    for (const [secret, instead] of SECRETS) shown = shown.replace(secret, instead);
    return hide ? shown.replace(ADDRESS, hide) : shown;
  };
  const any = (value: unknown, depth: number): unknown => {
    if (typeof value === 'string') return text(value);
    if (typeof value !== 'object' || value === null) return value;
    if (depth > DEEPEST) return '…';
    if (Buffer.isBuffer(value)) return `(${value.length} octets)`;
    if (value instanceof Error) return text(value.message);
    if (value instanceof Date) return value;
    if (Array.isArray(value)) return value.map((one) => any(one, depth + 1));
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [text(name), any(one, depth + 1)]));
  };
  return <T>(value: T) => any(value, 0) as T;
}

function hider({ pii, key }: PiiRules): ((found: string) => string) | undefined {
  if (pii === 'full') return undefined;
  if (pii === 'none') return () => '(address)';
  if (!key) throw new Error('hashes of addresses need a key');
  return (found) => {
    // In text an address may stand in single quotes.
    const [, before = '', address = '', after = ''] = /^(['`]*)(.*?)(['`]*)$/su.exec(found) ?? [];
    return `${before}${hashAddress(address.replace(/%40/i, '@'), key)}${after}`;
  };
}

/** @returns what stands for an address in logs: the same whatever its case. */
export function hashAddress(address: string, key: string): string {
  return `pii:${createHmac('sha256', key).update(address.toLowerCase()).digest('base64url').slice(0, 16)}`;
}

function cut(value: string): string {
  const lines = value.split('\n', MOST_LINES + 1);
  const few = lines.length > MOST_LINES ? `${lines.slice(0, MOST_LINES).join('\n')} …` : value;
  return few.length > LONGEST ? `${few.slice(0, LONGEST)}… (${value.length} characters)` : few;
}
