import { isIP } from 'node:net';
import { parseMailbox } from '@waypost/mail';
import { checkAbuse } from './check-abuse.js';
import { checkAuth } from './check-auth.js';
import { checkBounces } from './check-bounces.js';
import { checkArc, checkDkim } from './check-signing.js';
import { checkSmime } from './check-smime.js';
import { parseEndpoint } from './endpoint.js';
import { Networks } from './networks.js';
import { parseProxy } from './proxy.js';
import { parseTarget } from './route.js';
import type { Config, ListenerConfig } from './schema.js';
import type { EgressSource, ReplyRule } from './shaping-schema.js';

/** @returns what is wrong with a configuration that a schema cannot say, a sentence each. */
export function checkMeaning(config: Config): string[] {
  const problems = [
    ...repeated(config.listeners.map(({ name }) => name)).map(
      (name) => `listeners "${name}": the name is taken; give each listener its own`,
    ),
    ...repeated(config.keys.map(({ id }) => id)).map((id) => `keys "${id}": the id is taken; give each key its own`),
    ...config.listeners.flatMap((listener) => checkListener(listener, config)),
    ...config.keys.flatMap(({ id, networks }) => checkNetworks(`keys "${id}": "networks"`, networks)),
    ...checkTrusted('http.trust_proxy', config.http.trust_proxy),
    ...checkAuth(config.auth),
    ...config.routes.flatMap(({ to }, index) => checkTarget(`routes.${index}.to`, to)),
    ...checkEgress(config),
    ...checkReports(config),
    ...checkDkim(config.dkim),
    ...checkFilters(config),
    ...checkBounces(config),
    ...checkAbuse(config),
    ...checkArc(config.arc),
    ...config.rules.flatMap((rule) =>
      rule.do.flatMap(({ route }) => (route === undefined ? [] : checkTarget(`rules "${rule.name}": "route"`, route))),
    ),
    ...repeated(config.rules.map(({ name }) => name)).map(
      (name) => `rules "${name}": the name is taken; give each rule its own`,
    ),
    ...checkSmime(config.smime),
    ...[...config.shaping, ...config.providers].flatMap(({ replies }, index) => checkReplies(index, replies)),
  ];
  const { inline } = config.policy;
  if ((inline.listen ?? inline.url) !== undefined && inline.secret === undefined) {
    problems.push('policy.inline: "listen" and "url" need "secret", the same on both sides');
  }
  if ((config.held.max_age ?? 0) > config.delivery.max_age) {
    problems.push('held.max_age is longer than delivery.max_age, past which no message is kept; raise that too');
  }
  if (config.redis.cluster) {
    problems.push('redis.cluster: Redis Cluster is not supported yet; give redis.url, or redis.sentinel for failover');
  }
  if (config.spool.blobs === 's3' && !config.spool.s3)
    problems.push('spool.blobs is s3, but there is no spool.s3 section');
  return problems;
}

/** @returns those that come again after their first time. */
function repeated(names: readonly string[]): string[] {
  return names.filter((name, index) => names.indexOf(name) !== index);
}

function checkListener(listener: ListenerConfig, { tls, bounces }: Config): string[] {
  const problems: string[] = [];
  const at = `listeners "${listener.name}"`;
  if (listener.kind === 'relay' && listener.allow.length === 0) {
    problems.push(`${at}: a relay listener needs "allow" with the networks that may use it, such as [10.0.0.0/8]`);
  }
  if (listener.kind !== 'mx' && listener.inline) {
    problems.push(`${at}: only an mx listener may set "inline"; other mail is judged in the queue`);
  }
  if (listener.kind === 'mx' && listener.domains.length === 0 && !bounces.domain && bounces.feedback.length === 0) {
    problems.push(`${at}: an mx listener needs "domains" with the domains it accepts mail for`);
  }
  if (listener.kind === 'mx' && listener.domains.includes('*')) {
    problems.push(`${at}: "domains" holds "*", which makes an open relay; name your own domains`);
  }
  if (listener.kind === 'submission' && listener.tls === 'none' && !listener.auth_without_tls) {
    problems.push(`${at}: AUTH needs TLS; set tls to starttls or implicit, or auth_without_tls: true if you must`);
  }
  if (listener.tls !== 'none' && tls.identities.length === 0 && !tls.self_signed_dir) {
    problems.push(`${at}: TLS needs tls.identities with cert and key, or tls.self_signed_dir for development`);
  }
  for (const key of ['allow', 'proxy_protocol', 'xclient'] as const) {
    problems.push(...checkTrusted(`${at}: "${key}"`, listener[key]));
  }
  return problems;
}

function checkNetworks(at: string, networks: readonly string[]): string[] {
  return networks.flatMap((network) => attempt(at, () => new Networks([network])));
}

/** Networks whose word is believed: a part of the internet so wide holds others too. */
function checkTrusted(at: string, networks: readonly string[]): string[] {
  const problems = checkNetworks(at, networks);
  if (problems.length > 0) return problems;
  return networks
    .filter(isTooWide)
    .map(
      (network) => `${at} holds ${network}, which is no network of yours alone and makes an open relay; name your own`,
    );
}

function isTooWide(network: string): boolean {
  const [address = '', prefix] = network.toLowerCase().split('/');
  if (prefix === undefined) return false;
  if (!address.includes(':')) return Number(prefix) < 8;
  const own = /^f[cd]/.test(address) && Number(prefix) >= 7;
  // Within ::ffff:0:0/96 are the IPv4 addresses (RFC 4291 §2.5.5.2), where 104 bits are 8.
  return /^(?:::|(?:0{1,4}:)+:?)ffff:/.test(address) ? Number(prefix) < 104 : !own && Number(prefix) < 16;
}

function checkTarget(at: string, to: string): string[] {
  return attempt(at, () => parseTarget(to, 'example.com'));
}

function attempt(at: string, read: () => unknown): string[] {
  try {
    read();
    return [];
  } catch (error) {
    return [`${at}: ${(error as Error).message}`];
  }
}

/** Names that point at nothing, and names that two things have. */
function checkEgress({ egress, routes, shaping, rules }: Config): string[] {
  const sources = egress.sources.map(({ name }) => name);
  const pools = egress.pools.map(({ name }) => name);
  const unknown = (at: string, name: string | undefined, known: readonly string[], what: string) =>
    name === undefined || known.includes(name) ? [] : [`${at}: there is no ${what} "${name}" under egress`];
  return [
    ...repeated([...sources]).map((name) => `egress.sources "${name}": the name is taken; give each source its own`),
    ...repeated([...pools]).map((name) => `egress.pools "${name}": the name is taken; give each pool its own`),
    ...[...sources, ...pools]
      .filter((name) => !/^[a-z0-9][a-z0-9._-]*$/i.test(name))
      .map((name) => `egress "${name}": a name is letters, digits, dots, dashes and underscores`),
    ...egress.sources.flatMap(checkProxy),
    ...egress.pools.flatMap((pool) =>
      pool.sources.flatMap(({ source }) => unknown(`egress.pools "${pool.name}"`, source, sources, 'source')),
    ),
    ...unknown('egress.default_pool', egress.default_pool, pools, 'pool'),
    ...routes.flatMap(({ pool }, index) => unknown(`routes.${index}.pool`, pool, pools, 'pool')),
    ...rules.flatMap((rule) => rule.do.flatMap(({ pool }) => unknown(`rules "${rule.name}"`, pool, pools, 'pool'))),
    ...shaping.flatMap(({ source }, index) => unknown(`shaping.${index}.source`, source, sources, 'source')),
  ];
}

function checkFilters({ filters }: Config): string[] {
  const { spamd, clamd, milters } = filters;
  const at = (where: string, address: string | undefined) =>
    address === undefined ? [] : attempt(`${where}: "address"`, () => parseEndpoint(address));
  return [
    ...at('filters.spamd', spamd?.address),
    ...at('filters.clamd', clamd?.address),
    ...milters.flatMap(({ name, address }) => at(`filters.milters "${name}"`, address)),
    ...repeated(milters.map(({ name }) => name)).map((name) => `filters.milters "${name}": the name is taken`),
  ];
}

function checkProxy({ name, proxy, address }: EgressSource): string[] {
  if (proxy === undefined) return [];
  const at = `egress.sources "${name}": "proxy"`;
  const problems = attempt(at, () => parseProxy(proxy));
  if (problems.length > 0 || parseProxy(proxy).kind !== 'haproxy' || isIP(address ?? '') > 0) return problems;
  return [`${at}: a haproxy proxy is told where to connect from; set "address" to one of the proxy's own addresses`];
}

function checkReports({ reports }: Config): string[] {
  return (['from', 'contact'] as const).flatMap((key) => {
    const text = reports[key];
    // A contact may be a page as well.
    const good = text === undefined || parseMailbox(text) || (key === 'contact' && /^https:\/\/\S+$/.test(text));
    return good ? [] : [`reports.${key}: "${text}" is no address; write such as reports@example.com`];
  });
}

function checkReplies(index: number, replies: readonly ReplyRule[]): string[] {
  return replies.flatMap(({ text, status, code, action, rate, connections }, at) => {
    const where = `replies.${at} of shaping rule or provider ${index}`;
    return [
      ...(text === undefined ? [] : attempt(`${where}: "text"`, () => new RegExp(text, 'i'))),
      ...((text ?? status ?? code) ? [] : [`${where}: give "text", "status" or "code", else every reply would fit`]),
      ...(action === 'slow' && !rate && !connections ? [`${where}: "slow" needs "rate" or "connections"`] : []),
    ];
  });
}
