import { BlockList, isIP, isIPv6 } from 'node:net';
import type { Config, DnsListConfig } from '@waypost/config';
import { domainOf } from '@waypost/mail';
import { parseAddresses } from '@waypost/mime';
import {
  askList,
  checkClient,
  collect,
  createLookalikeFinder,
  createNameLookup,
  type DnsList,
  type Found,
  type Listed,
  type NameLookup,
  registeredDomain,
  runHeuristics,
  SYMBOLS,
} from '@waypost/spam';
import { type Check, type CheckContext, PASS } from '../check.js';
import { concerns, type FilterDeps, following } from './filter.js';

/** Domains of one message that lists are asked about. */
const MOST_DOMAINS = 15;

/** Scores a message by our own heuristics, and by DNS lists where there are some. */
export function spamCheck({ config, runtime }: FilterDeps): Check {
  const lookalikes = following(() => protectedDomains(config()), createLookalikeFinder);
  const lookup = following(
    () => lookupSettings(config()),
    (settings) => createNameLookup(settings),
  );
  const ask: Ask = async (list, subject, names) =>
    askList(list, subject, names, (result) => runtime.metrics.dnsListAnswers.inc({ list: list.zone, result }));

  return {
    name: 'spam',
    run: async (context) => {
      const { spam, server } = config();
      if (!concerns(context, spam)) return PASS;
      const { meta, open } = context;
      const mail = await context.mail();
      const recipients = open.map(({ recipient }) => recipient.address);
      const { found, hosts } = runHeuristics({
        mail,
        receivedAt: meta.receivedAt,
        recipients,
        lookalikes: lookalikes(),
      });
      give(context, found);
      const names = lookup();
      const from = domainOf(parseAddresses(mail.header('from') ?? '')[0]?.address ?? '');
      await Promise.all([
        askAboutClient(context, { config: config(), hostname: server.hostname, names, ask }),
        askAboutDomains(context, spam.dns.domain_lists, [from, ...hosts], { names, ask }),
      ]);
      return PASS;
    },
  };
}

type Ask = (list: DnsList, subject: string, names: NameLookup) => Promise<Listed | undefined>;

function give(context: CheckContext, found: readonly Found[]): void {
  for (const { symbol, reason } of found) context.symbol(symbol, SYMBOLS[symbol].score, reason);
}

/** Where DNS says nothing of an address: networks that are nobody's on the internet (RFC 6890). */
const PRIVATE = new BlockList();
for (const [network, bits] of [
  ['10.0.0.0', 8],
  ['127.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['169.254.0.0', 16],
  ['100.64.0.0', 10],
] as const) {
  PRIVATE.addSubnet(network, bits, 'ipv4');
}
PRIVATE.addAddress('::1', 'ipv6');
PRIVATE.addSubnet('fc00::', 7, 'ipv6');
PRIVATE.addSubnet('fe80::', 10, 'ipv6');

async function askAboutClient(
  context: CheckContext,
  { config, hostname, names, ask }: { config: Config; hostname: string; names: NameLookup; ask: Ask },
): Promise<void> {
  const { remoteAddress, helo } = context.meta.origin;
  const address = remoteAddress?.replace(/^::ffff:(?=\d+\.)/i, '');
  if (!address || isIP(address) === 0 || PRIVATE.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')) return;
  const { dns } = config.spam;
  const { report, found } = collect();
  const client = { address, hostname, ...(helo ? { helo } : {}) };
  const [, ...listed] = await Promise.all([
    checkClient(client, dns.client_names ? names : undefined, report),
    ...dns.address_lists.map((list) => ask(listOf(list), address, names)),
  ]);
  give(context, found());
  for (const one of listed) if (one) context.symbol(`DNSBL_${one.list.name}`, one.score, one.reason);
}

async function askAboutDomains(
  context: CheckContext,
  lists: readonly DnsListConfig[],
  hosts: readonly string[],
  { names, ask }: { names: NameLookup; ask: Ask },
): Promise<void> {
  if (lists.length === 0) return;
  const named = hosts.filter((host) => /^[a-z0-9_.-]+\.[a-z0-9-]*[a-z][a-z0-9-]*$/.test(host));
  const domains = [...new Set(named.map(registeredDomain))].slice(0, MOST_DOMAINS);
  const listed = await Promise.all(lists.flatMap((list) => domains.map((domain) => ask(listOf(list), domain, names))));
  for (const one of listed) if (one) context.symbol(`URIBL_${one.list.name}`, one.score, one.reason);
}

const listOf = ({ zone, name, score, codes }: DnsListConfig): DnsList => ({
  zone,
  name: name ?? zone.toUpperCase().replace(/[^A-Z0-9]+/g, '_'),
  score,
  ...(codes ? { codes } : {}),
});

/** Those named, and those that mail is taken in for. */
function protectedDomains({ spam, listeners }: Config): string[] {
  const ours = listeners.filter(({ kind }) => kind === 'mx').flatMap(({ domains }) => domains);
  return [...new Set([...spam.protect, ...ours.map((domain) => domain.replace(/^\*\./, ''))])];
}

const lookupSettings = ({ spam, delivery }: Config) => ({
  servers: spam.dns.servers.length > 0 ? spam.dns.servers : delivery.dns_servers,
  timeout: spam.dns.timeout,
});
