import type { DkimFinding } from '../dkim/check.js';
import { toName } from '../names.js';
import { absenceOf, type Resolve } from '../resolve.js';
import type { SpfFinding } from '../spf/check.js';
import type { Authors } from './author.js';
import { createDiscoverer, type Discoverer, type OrgDomainWay } from './discover.js';
import type { DmarcPolicy, DmarcRecord } from './record.js';

/** What DMARC says of a message (RFC 7489, RFC 9989). */
export interface DmarcFinding {
  readonly result: 'none' | 'pass' | 'fail' | 'temperror' | 'permerror';
  readonly reason?: string | undefined;
  /** The author domain; empty where there is none. */
  readonly domain: string;
  readonly doubt?: Authors['doubt'];
  /** Where the policy is published, and what it says. */
  readonly policyDomain?: string | undefined;
  readonly record?: DmarcRecord | undefined;
  /** What the domain asks for mail such as this that fails. */
  readonly policy: DmarcPolicy;
  /** What it asks for this message: nothing where it passes, or where it was left out of the share (pct). */
  readonly disposition: DmarcPolicy;
  readonly sampledOut?: boolean | undefined;
  readonly alignedSpf: boolean;
  /** Signing domains that passed and are aligned. */
  readonly alignedDkim: readonly string[];
}

export interface DmarcInput {
  readonly authors: Authors;
  readonly spf: SpfFinding;
  readonly dkim: readonly DkimFinding[];
}

export interface DmarcDeps {
  readonly resolve: Resolve;
  readonly orgDomain: OrgDomainWay;
  /** From 0 to 1. */
  readonly random: () => number;
}

/** Author domains that are checked; more than one is a trick already. */
const MOST_AUTHORS = 5;
const STRENGTH: Record<DmarcPolicy, number> = { none: 0, quarantine: 1, reject: 2 };
const WEAKER: Record<DmarcPolicy, DmarcPolicy> = { reject: 'quarantine', quarantine: 'none', none: 'none' };

/**
 * Evaluates DMARC. Of several author domains the strictest policy that fails holds (RFC 7489 §6.6.1), so that a second
 * From is no way around one. Never throws over what a message holds.
 */
export async function checkDmarc(input: DmarcInput, deps: DmarcDeps): Promise<DmarcFinding> {
  const { domains, doubt } = input.authors;
  const discoverer = createDiscoverer(deps.orgDomain, deps.resolve);
  const findings = await Promise.all(
    domains.slice(0, MOST_AUTHORS).map((domain) => checkAuthor(domain, input, discoverer, deps)),
  );
  const [worst] = findings.toSorted((a, b) => weight(b) - weight(a));
  if (!worst) return { ...NOTHING, result: 'permerror', reason: doubt, doubt };
  if (!doubt) return worst;
  const judged = worst.result === 'fail' || worst.result === 'temperror';
  return { ...worst, doubt, ...(judged ? {} : { result: 'permerror' as const, reason: doubt }) };
}

const NOTHING = {
  result: 'none',
  domain: '',
  policy: 'none',
  disposition: 'none',
  alignedSpf: false,
  alignedDkim: [],
} as const satisfies DmarcFinding;

function weight({ result, disposition }: DmarcFinding): number {
  if (result === 'fail') return 3 + STRENGTH[disposition];
  return result === 'temperror' ? 2 : Number(result === 'none');
}

async function checkAuthor(
  domain: string,
  { spf, dkim }: DmarcInput,
  discoverer: Discoverer,
  deps: DmarcDeps,
): Promise<DmarcFinding> {
  const about: DmarcFinding = { ...NOTHING, domain };
  try {
    const { found, organisation } = await discoverer.discover(domain);
    if (!found) return about;
    const { record, domain: policyDomain } = found;
    const aligned = aligner(domain, organisation, discoverer);
    const spfDomain = spf.result === 'pass' ? toName(spf.domain) : undefined;
    const alignedSpf = spfDomain !== undefined && (await aligned(spfDomain, record.aspf));
    const passed = [...new Set(dkim.filter(({ result }) => result === 'pass').map((one) => one.domain))];
    const alignedDkim: string[] = [];
    for (const signer of passed) if (await aligned(signer, record.adkim)) alignedDkim.push(signer);
    const policy = await policyFor(domain, found.domain, record, deps);
    const facts: DmarcFinding = { ...about, policyDomain, record, policy, alignedSpf, alignedDkim };
    if (alignedSpf || alignedDkim.length > 0) return { ...facts, result: 'pass' };
    if (await mayYetPass(spf, dkim, (other, mode) => aligned(other, record[mode]))) {
      return { ...facts, result: 'temperror', reason: 'SPF or DKIM could not be checked for now' };
    }
    return { ...facts, result: 'fail', ...sampled(record, policy, deps) };
  } catch (error) {
    return {
      ...about,
      result: 'temperror',
      reason: absenceOf(error) === 'temporary' ? 'DNS failed' : 'not to be found',
    };
  }
}

/**
 * Something aligned may pass once DNS answers: no lasting failure then (RFC 7489 §6.6.2). What is not aligned does not
 * count, or a signature of a domain whose name server is mute would be a way around any policy.
 */
async function mayYetPass(
  spf: SpfFinding,
  dkim: readonly DkimFinding[],
  aligned: (other: string, mode: 'aspf' | 'adkim') => Promise<boolean>,
): Promise<boolean> {
  const sender = spf.result === 'temperror' ? toName(spf.domain) : undefined;
  if (sender !== undefined && (await aligned(sender, 'aspf'))) return true;
  for (const { result, domain } of dkim) {
    if (result === 'temperror' && (await aligned(domain, 'adkim'))) return true;
  }
  return false;
}

function aligner(domain: string, organisation: string, discoverer: Discoverer) {
  return async (other: string, mode: 'r' | 's'): Promise<boolean> => {
    if (other === domain) return true;
    // An organisational domain is the name itself or one above it.
    if (mode === 's' || (other !== organisation && !other.endsWith(`.${organisation}`))) return false;
    return (await discoverer.organisation(other)) === organisation;
  };
}

async function policyFor(
  domain: string,
  policyDomain: string,
  record: DmarcRecord,
  { resolve }: DmarcDeps,
): Promise<DmarcPolicy> {
  const inherited = policyDomain !== domain;
  const asked = inherited ? record.sp : record.p;
  const named = inherited && record.np !== record.sp && !(await exists(domain, resolve)) ? record.np : asked;
  return record.testing ? WEAKER[named] : named;
}

/** Any record makes a name exist (RFC 9989 §4.10.1): only NXDOMAIN says that it does not. */
async function exists(domain: string, resolve: Resolve): Promise<boolean> {
  try {
    await resolve(domain, 'A');
    return true;
  } catch (error) {
    const absence = absenceOf(error);
    if (absence === 'temporary') throw error;
    return absence === 'no-record';
  }
}

/** Mail outside the share is treated by the next weaker policy (RFC 7489 §6.6.4); RFC 9989 knows no share any more. */
function sampled(
  { pct }: DmarcRecord,
  policy: DmarcPolicy,
  { orgDomain, random }: DmarcDeps,
): Pick<DmarcFinding, 'disposition' | 'sampledOut'> {
  const out = orgDomain === 'psl' && policy !== 'none' && pct < 100 && random() * 100 >= pct;
  return out ? { disposition: WEAKER[policy], sampledOut: true } : { disposition: policy };
}
