import { getDomain } from 'tldts';
import { absenceOf, isAskable, type Resolve } from '../resolve.js';
import { type DmarcRecord, isDmarcRecord, readDmarcRecord } from './record.js';

/** How an organisational domain is found: by the Public Suffix List (RFC 7489 §3.2) or by records (RFC 9989 §4.10). */
export type OrgDomainWay = 'psl' | 'tree_walk';

export interface Found {
  readonly domain: string;
  readonly record: DmarcRecord;
}

/** The record that holds for a domain. */
export interface Discovery {
  readonly found: Found | undefined;
  readonly organisation: string;
}

/** Finds records and organisations for one message; each question is asked once. Rejects where DNS fails for now. */
export interface Discoverer {
  discover(domain: string): Promise<Discovery>;
  organisation(domain: string): Promise<string>;
}

/**
 * @param domain in lower case as A-labels.
 * @returns its organisational domain by the Public Suffix List; the domain itself where it is a suffix.
 */
export function organisationByList(domain: string): string {
  return getDomain(domain, { allowPrivateDomains: true, extractHostname: false, validateHostname: false }) ?? domain;
}

export function createDiscoverer(way: OrgDomainWay, resolve: Resolve): Discoverer {
  const records = new Map<string, Promise<Found | undefined>>();
  const lookUp = (domain: string) => {
    let looking = records.get(domain);
    if (!looking) {
      looking = fetchRecord(domain, resolve);
      records.set(domain, looking);
    }
    return looking;
  };
  return way === 'psl' ? byList(lookUp) : byWalk(lookUp);
}

type LookUp = (domain: string) => Promise<Found | undefined>;

/** Of several records none counts (RFC 7489 §6.6.3, step 5). */
async function fetchRecord(domain: string, resolve: Resolve): Promise<Found | undefined> {
  const name = `_dmarc.${domain}`;
  if (!isAskable(name)) return undefined;
  try {
    const texts = (await resolve(name, 'TXT')).map((text) => text.trim()).filter(isDmarcRecord);
    const record = texts.length === 1 ? readDmarcRecord(texts[0] ?? '') : undefined;
    return record && { domain, record };
  } catch (error) {
    if (absenceOf(error) === 'temporary') throw error;
    return undefined;
  }
}

function byList(lookUp: LookUp): Discoverer {
  return {
    organisation: async (domain) => organisationByList(domain),
    discover: async (domain) => {
      const organisation = organisationByList(domain);
      return { found: (await lookUp(domain)) ?? (await lookUp(organisation)), organisation };
    },
  };
}

/** A name of more labels is cut to these at once, so that no walk takes more than eight questions (RFC 9989 §4.10). */
const WALKED_LABELS = 7;
/** Walks for one message (RFC 9989 §4.10.2 leaves the number open). */
const MOST_WALKS = 10;

function byWalk(lookUp: LookUp): Discoverer {
  const walks = new Map<string, Promise<Found[]>>();
  const walked = (domain: string) => {
    let walking = walks.get(domain);
    if (!walking) {
      if (walks.size >= MOST_WALKS) throw new Error('too many domains to be compared');
      walking = walk(domain, lookUp);
      walks.set(domain, walking);
    }
    return walking;
  };
  return {
    organisation: async (domain) => organisationOf(domain, await walked(domain)),
    discover: async (domain) => {
      const all = await walked(domain);
      const organisation = organisationOf(domain, all);
      const last = all.at(-1);
      const found =
        all.find((one) => one.domain === domain) ??
        all.find((one) => one.domain === organisation) ??
        (last?.record.psd === 'y' ? last : undefined);
      return { found, organisation };
    },
  };
}

/** @returns the records from the domain up, the longest name first. */
async function walk(domain: string, lookUp: LookUp): Promise<Found[]> {
  const all: Found[] = [];
  let labels = domain.split('.');
  while (labels.length > 0) {
    const found = await lookUp(labels.join('.'));
    if (found) all.push(found);
    if (found && found.record.psd !== 'u') break;
    labels = labels.length > WALKED_LABELS ? labels.slice(-WALKED_LABELS) : labels.slice(1);
  }
  return all;
}

/** RFC 9989 §4.10.2. */
function organisationOf(domain: string, all: readonly Found[]): string {
  for (const found of all) {
    if (found.record.psd === 'n') return found.domain;
    if (found.record.psd === 'y' && found.domain !== domain) {
      return domain
        .split('.')
        .slice(-(found.domain.split('.').length + 1))
        .join('.');
    }
  }
  return all.at(-1)?.domain ?? domain;
}
