import { looksLatin, mixesScripts, skeleton } from './confusables.js';
import { registeredDomain, unicodeHost } from './domains.js';

/** A domain that others may pretend to be. */
interface Protected {
  readonly domain: string;
  /** Its label that people know: `example` of `example.co.uk`. */
  readonly label: string;
  readonly skeleton: string;
}

export interface LookalikeFinder {
  /** Domains that are protected. */
  readonly domains: readonly string[];
  /** @returns whether a host is a protected domain or below one. */
  isOwn(host: string): boolean;
  /** @returns the protected domain that a host looks like without being it. */
  lookalike(host: string): string | undefined;
  /** @returns the protected domain whose name stands in the name of a host elsewhere, as in `example.com.evil.test`. */
  within(host: string): string | undefined;
}

/** Domains of which likeness by letters is looked for; likeness by looks alone is of all. */
const MOST = 200;
/** Labels shorter than this are like too many others to tell a likeness by letters. */
const SHORTEST = 5;

/** @param domains ASCII or international. */
export function createLookalikeFinder(domains: readonly string[]): LookalikeFinder {
  const known: Protected[] = domains.map((domain) => {
    const label = labelOf(domain);
    return { domain: domain.toLowerCase(), label, skeleton: skeleton(unicodeHost(label)) };
  });
  const names = new Set(known.map(({ domain }) => domain));
  const looks = new Map(known.map((one) => [one.skeleton, one]));
  const few = known.slice(0, MOST);
  const isOwn = (host: string) => names.size > 0 && suffixes(host).some((suffix) => names.has(suffix));
  return {
    domains: few.map(({ domain }) => domain),
    isOwn,
    lookalike: (host) => {
      if (known.length === 0 || isOwn(host)) return undefined;
      const label = labelOf(host);
      const shown = skeleton(unicodeHost(label));
      const same = looks.get(shown);
      // The same name under another ending is another's right; the same looks by other letters is not.
      if (same) return same.label === label ? undefined : same.domain;
      return few.find((one) => resembles(shown, one))?.domain;
    },
    within: (host) => {
      if (known.length === 0 || isOwn(host)) return undefined;
      const left = host.slice(0, -registeredDomain(host).length).replace(/[-_]/g, '.');
      const whole = host.replace(/[-_]/g, '.');
      return few.find(({ domain, label }) => {
        if (label === labelOf(host)) return false;
        return `.${left}`.includes(`.${domain}.`) || (label.length >= SHORTEST && `.${whole}`.includes(`.${label}.`));
      })?.domain;
    },
  };
}

/** @returns the host and the domains above it. */
function suffixes(host: string): string[] {
  const labels = host.split('.').slice(-10);
  return labels.map((_, at) => labels.slice(at).join('.'));
}

const labelOf = (host: string) => registeredDomain(host).split('.')[0] ?? '';

function resembles(shown: string, one: Protected): boolean {
  if (one.label.length < SHORTEST || shown[0] !== one.skeleton[0]) return false;
  const allowed = one.label.length >= 9 ? 2 : 1;
  return Math.abs(shown.length - one.skeleton.length) <= allowed && within(shown, one.skeleton, allowed);
}

/**
 * @returns whether two texts are at most so many insertions, deletions, changes and swaps of neighbours apart (the
 *   distance of Damerau and Levenshtein, restricted).
 */
export function within(one: string, other: string, allowed: number): boolean {
  let before: number[] = [];
  let last = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let i = 1; i <= one.length; i++) {
    const row = [i];
    for (let j = 1; j <= other.length; j++) {
      const same = one[i - 1] === other[j - 1];
      let least = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1));
      const swapped = i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1];
      if (swapped) least = Math.min(least, (before[j - 2] ?? 0) + 1);
      row.push(least);
    }
    if (Math.min(...row) > allowed) return false;
    before = last;
    last = row;
  }
  return (last[other.length] ?? 0) <= allowed;
}

/** @returns the label of a host that deceives by its letters, as it is shown. */
export function deceptiveLabel(host: string): string | undefined {
  if (!host.includes('xn--') && /^[\x00-\x7f]*$/.test(host)) return undefined;
  return unicodeHost(host)
    .split('.')
    .find((label) => mixesScripts(label) || looksLatin(label));
}
