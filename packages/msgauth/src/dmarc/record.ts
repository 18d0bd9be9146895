export type DmarcPolicy = 'none' | 'quarantine' | 'reject';

/** What a domain publishes (RFC 7489 §6.3, RFC 9989 §4.7). */
export interface DmarcRecord {
  readonly p: DmarcPolicy;
  /** For subdomains; `p` where it says nothing. */
  readonly sp: DmarcPolicy;
  /** For subdomains that do not exist; `sp` where it says nothing. */
  readonly np: DmarcPolicy;
  /** Whether sp and np are said. */
  readonly says: { readonly sp: boolean; readonly np: boolean };
  readonly adkim: 'r' | 's';
  readonly aspf: 'r' | 's';
  /** Share of failing mail that the policy is for, in percent; gone with RFC 9989. */
  readonly pct: number;
  /** The policy is only tried: the next weaker one is asked for (RFC 9989). */
  readonly testing: boolean;
  /** The domain is a public suffix, says that it is none, or says nothing. */
  readonly psd: 'y' | 'n' | 'u';
  /** Where aggregate reports are wanted, as published. */
  readonly rua: readonly string[];
  /** When failures are to be reported. */
  readonly fo: string;
}

const VERSION = /^v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|$)/i;
const EXACT_VERSION = /^[vV][ \t]*=[ \t]*DMARC1/;
const MOST_REPORT_URIS = 10;
/** An RFC 3986 URI with an optional size limit, which RFC 9989 drops. */
const REPORT_URI = /^[a-z][a-z0-9+.-]*:[a-z0-9\-._~:/?#[\]@$&'()*+;=%]+(?:![0-9]+[kmgt]?)?$/i;

export const isDmarcRecord = (text: string) => VERSION.test(text) && EXACT_VERSION.test(text);

/**
 * @param text a TXT record that `isDmarcRecord`.
 * @returns undefined for one that asks for nothing that can be done: no valid policy, and no reports (RFC 7489 §6.6.3).
 */
export function readDmarcRecord(text: string): DmarcRecord | undefined {
  const tags = new Map<string, string>();
  for (const spec of text.split(';')) {
    const equals = spec.indexOf('=');
    if (equals < 1) continue;
    const name = spec.slice(0, equals).trim().toLowerCase();
    if (tags.has(name)) return undefined;
    tags.set(name, spec.slice(equals + 1).trim());
  }
  const value = (name: string) => tags.get(name)?.toLowerCase();
  const rua = (tags.get('rua') ?? '')
    .split(',')
    .map((uri) => uri.trim())
    .filter((uri) => REPORT_URI.test(uri))
    .slice(0, MOST_REPORT_URIS);
  const asked = ['p', 'sp', 'np'].filter((name) => tags.has(name));
  const valid = tags.has('p') && asked.every((name) => isPolicy(value(name)));
  if (!valid && rua.length === 0) return undefined;
  const policy = (name: string, fallback: DmarcPolicy) => {
    const said = valid ? value(name) : undefined;
    return isPolicy(said) ? said : fallback;
  };
  const p = policy('p', 'none');
  const sp = policy('sp', p);
  const pct = /^\d{1,3}$/.test(value('pct') ?? '') ? Math.min(100, Number(value('pct'))) : 100;
  const psd = value('psd');
  return {
    p,
    sp,
    np: policy('np', sp),
    says: { sp: valid && tags.has('sp'), np: valid && tags.has('np') },
    adkim: value('adkim') === 's' ? 's' : 'r',
    aspf: value('aspf') === 's' ? 's' : 'r',
    pct,
    testing: value('t') === 'y',
    psd: psd === 'y' || psd === 'n' ? psd : 'u',
    rua,
    fo: value('fo') ?? '0',
  };
}

const isPolicy = (text: string | undefined): text is DmarcPolicy =>
  text === 'none' || text === 'quarantine' || text === 'reject';
