import { createHash } from 'node:crypto';

/** Labels that MX hosts must have in common to be called by them. */
const COMMON = 2;

/**
 * Names the site that a set of MX hosts makes: domains with the same hosts, whatever their preferences, share one site
 * and thus its limits. A single host is the site's name; several are called by the labels they have in common and a hash
 * of the set: `l.google.com~1f3a9c02`. Where they have none in common it is `first.host.example+1f3a9c02`.
 * @param hosts names in lower case.
 */
export function siteName(hosts: readonly string[]): string {
  const [first = '', ...rest] = [...new Set(hosts)].sort();
  if (rest.length === 0) return first;
  const hash = createHash('sha256')
    .update([first, ...rest].join(' '))
    .digest('hex')
    .slice(0, 8);
  const common = rest.reduce((tail, host) => commonTail(tail, host.split('.')), first.split('.'));
  return common.length >= COMMON ? `${common.join('.')}~${hash}` : `${first}+${hash}`;
}

function commonTail(a: readonly string[], b: readonly string[]): string[] {
  const tail: string[] = [];
  for (let at = 1; at <= Math.min(a.length, b.length) && a.at(-at) === b.at(-at); at += 1) {
    tail.unshift(a.at(-at) as string);
  }
  return tail;
}

/**
 * @param site as `siteName` gives it.
 * @param pattern of MX hosts: `*.example.net`, or one host.
 * @returns whether all of the site's hosts are under the pattern.
 */
export function siteUnder(site: string, pattern: string): boolean {
  const [name = '', several] = site.split('~');
  if (name.includes('+')) return false;
  if (!pattern.startsWith('*.')) return several === undefined && name === pattern;
  const suffix = pattern.slice(1);
  // Several hosts that have `example.net` in common are all under `*.example.net`.
  return name.endsWith(suffix) || (several !== undefined && name === suffix.slice(1));
}
