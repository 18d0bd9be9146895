/** What a domain demands of those who send to its mail exchangers (RFC 8461 §3.2). */
export interface StsPolicy {
  readonly mode: 'enforce' | 'testing' | 'none';
  /** Seconds. */
  readonly maxAge: number;
  /** Names of mail exchangers: `mx.example.org` or `*.example.org`, in lower case. */
  readonly mx: readonly string[];
}

/** A policy that cannot be understood; it counts as if there were none (RFC 8461 §3.2). */
export class StsPolicyError extends Error {}

/** The longest a policy may be kept, s (RFC 8461 §3.2). */
const LONGEST = 31_557_600;
const PATTERN = /^(?:\*\.)?[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;

/**
 * Reads the TXT records of `_mta-sts.<domain>` (RFC 8461 §3.1).
 * @returns the policy's id; undefined where there is not exactly one such record.
 */
export function parseStsRecord(texts: readonly string[]): string | undefined {
  const records = texts.filter((text) => /^v=STSv1\s*;/.test(text));
  const [only] = records;
  if (!only || records.length > 1) return undefined;
  return /;\s*id=([A-Za-z0-9]{1,32})\s*(?:;|$)/.exec(only)?.[1];
}

/**
 * Reads a policy (RFC 8461 §3.2). Of a key that stands twice the first counts, `mx` aside; unknown keys count nothing.
 * @throws StsPolicyError
 */
export function parseStsPolicy(text: string): StsPolicy {
  const fields = new Map<string, string>();
  const mx: string[] = [];
  for (const line of text.split(/\r?\n/)) {
    const name = /^([A-Za-z0-9][A-Za-z0-9_.-]{0,31}):/.exec(line)?.[1];
    if (name === undefined) continue;
    // No expression for the blanks: a line is as long as its writer likes.
    const value = line.slice(name.length + 1).trim();
    if (name === 'mx') mx.push(value.toLowerCase().replace(/\.$/, ''));
    else if (!fields.has(name)) fields.set(name, value);
  }
  if (fields.get('version') !== 'STSv1') throw new StsPolicyError('its version is not STSv1');
  const mode = fields.get('mode');
  if (mode !== 'enforce' && mode !== 'testing' && mode !== 'none') {
    throw new StsPolicyError(`its mode "${mode ?? ''}" is none of enforce, testing, none`);
  }
  const maxAge = fields.get('max_age') ?? '';
  if (!/^\d{1,10}$/.test(maxAge)) throw new StsPolicyError('its max_age is no number');
  if (mode !== 'none' && mx.length === 0) throw new StsPolicyError('it names no mail exchanger');
  const wrong = mx.find((pattern) => !PATTERN.test(pattern));
  if (wrong !== undefined) throw new StsPolicyError(`"${wrong.slice(0, 100)}" is no name of a mail exchanger`);
  return { mode, maxAge: Math.min(LONGEST, Number(maxAge)), mx };
}

/** @returns whether a policy allows a mail exchanger; `*` stands for one label (RFC 8461 §4.1). */
export function allowsMx({ mx }: StsPolicy, host: string): boolean {
  const name = host.toLowerCase().replace(/\.$/, '');
  const parent = name.slice(name.indexOf('.') + 1);
  return mx.some((pattern) =>
    pattern.startsWith('*.') ? name.includes('.') && pattern.slice(2) === parent : pattern === name,
  );
}

/** @returns the policy's lines as a report writes them (RFC 8460 §4.4). */
export function stsStrings({ mode, mx, maxAge }: StsPolicy): string[] {
  return ['version: STSv1', `mode: ${mode}`, ...mx.map((host) => `mx: ${host}`), `max_age: ${maxAge}`];
}
