import { domainToASCII } from 'node:url';
import type { Config } from '@waypost/config';
import type { MailResolver } from '@waypost/dns';
import type { NameChecks } from '@waypost/ingress';
import { checkSpf } from '@waypost/msgauth';
import type { Metrics } from '@waypost/runtime';
import { askList, createNameLookup, type NameLookup } from '@waypost/spam';

export interface NameCheckDeps {
  readonly resolver: MailResolver;
  /** Read at each use. */
  readonly config: () => Config;
  readonly metrics: Metrics;
}

/** For all that SPF asks for one sender, as a client waits for the answer, ms. */
const SPF_TIMEOUT = 5_000;

/** What sessions ask of DNS; answers are kept by the resolver, so that the policy stage finds them there. */
export function createNameChecks({ resolver, config, metrics }: NameCheckDeps): NameChecks {
  const resolve = resolver.records.bind(resolver);
  const lookup = lookupOf(config);
  return {
    senderDomain: (domain) => (domain.startsWith('[') ? Promise.resolve('exists') : takesMail(domain, resolver)),
    spf: async (client) => {
      const { hostname } = config().server;
      return (await checkSpf({ ...client, resolve, receiver: hostname, timeout: SPF_TIMEOUT })).result;
    },
    listed: async (address) => {
      const { address_lists } = config().spam.dns;
      const lists = address_lists.map((list) => ({ ...list, name: list.name ?? list.zone }));
      const told = (zone: string) => (result: string) => metrics.dnsListAnswers.inc({ list: zone, result });
      const answers = await Promise.all(
        lists.map(({ codes, ...list }) =>
          askList({ ...list, ...(codes ? { codes } : {}) }, address, lookup(), told(list.zone)),
        ),
      );
      const found = answers.filter((answer) => answer !== undefined);
      if (found.length === 0) return undefined;
      return {
        score: found.reduce((sum, { score }) => sum + score, 0),
        reason: found.map(({ reason }) => reason).join('; '),
      };
    },
  };
}

/** By records alone and not as delivery looks, so that strangers' domains do not fill what mail is delivered by. */
async function takesMail(
  domain: string,
  resolver: MailResolver,
): Promise<'exists' | 'missing' | 'refuses' | 'unknown'> {
  const name = domainToASCII(domain);
  if (name === '') return 'missing';
  const ask = (kind: 'MX' | 'A' | 'AAAA') =>
    resolver.records(name, kind).catch((error: { readonly code?: string }) => error.code ?? 'failed');
  const hosts = await ask('MX');
  if (typeof hosts !== 'string') {
    // RFC 7505: one host, with the empty name.
    const refuses = hosts.every((host) => /^\.?$/.test((host as { readonly exchange: string }).exchange));
    return refuses && hosts.length > 0 ? 'refuses' : 'exists';
  }
  if (hosts === 'ENOTFOUND') return 'missing';
  if (hosts !== 'ENODATA') return 'unknown';
  const addresses = await Promise.all([ask('A'), ask('AAAA')]);
  if (addresses.some((found) => typeof found !== 'string')) return 'exists';
  return addresses.every((code) => code === 'ENODATA' || code === 'ENOTFOUND') ? 'missing' : 'unknown';
}

/** @returns the way to ask, made anew where other name servers are configured. */
function lookupOf(config: () => Config): () => NameLookup {
  let made: { readonly key: string; readonly lookup: NameLookup } | undefined;
  return () => {
    const { spam, delivery } = config();
    const servers = spam.dns.servers.length > 0 ? spam.dns.servers : delivery.dns_servers;
    const key = `${servers.join(' ')} ${spam.dns.timeout}`;
    if (made?.key !== key) made = { key, lookup: createNameLookup({ servers, timeout: spam.dns.timeout }) };
    return made.lookup;
  };
}
