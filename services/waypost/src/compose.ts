import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Config, ConfigSource } from '@waypost/config';
import { createNodeLookup, createValidatedLookup, MailResolver } from '@waypost/dns';
import type { HttpIngressDeps, Ingress, IngressDeps } from '@waypost/ingress';
import { createPolicyClient, type PolicyPort } from '@waypost/inline';
import { loadBullScripts, PolicyQueue, Presence } from '@waypost/queue';
import { openRedis, type RedisHandle } from '@waypost/redis';
import {
  createLogger,
  createMetrics,
  createTracer,
  HealthServer,
  type Logger,
  type Runtime,
  type Service,
} from '@waypost/runtime';
import { SiteFinder } from '@waypost/shaping';
import { createBlobStore, Spool } from '@waypost/spool';
import {
  BackPressure,
  Committer,
  HeldMail,
  KeyStore,
  MessageStore,
  SuppressionStore,
  TrailStore,
} from '@waypost/store';
import { createAbuse } from './abuse.js';

export const SERVICES = ['ingress', 'policy', 'delivery', 'api', 'events'] as const;
export type ServiceName = (typeof SERVICES)[number];

export interface ComposeOptions {
  readonly source: ConfigSource;
  readonly services: readonly ServiceName[];
  /** No other process uses this Redis: what a killed predecessor held is given back at once. */
  readonly alone?: boolean;
  readonly log?: Logger;
}

/** A process, wired and not yet started. */
export interface Composition {
  readonly services: readonly Service[];
  readonly runtime: Runtime;
  readonly health: HealthServer;
  readonly keys: KeyStore;
  readonly ingress: Ingress | undefined;
  close(): Promise<void>;
}

/** Wires the parts of a process. Every dependency is handed over here; nothing is global. */
export async function compose(options: ComposeOptions): Promise<Composition> {
  const { source, services: wanted } = options;
  const config = () => source.current;
  const runtime = await createRuntime(config(), wanted, options.log);
  const redis = await openRedis(config().redis, {
    name: `waypost ${wanted.join('+')}`,
    onError: (error) => runtime.log.warn({ error: error.message }, 'Redis connection'),
    onGroup: (commands, milliseconds) => {
      runtime.metrics.redisGroupCommands.observe(commands);
      runtime.metrics.redisGroupSeconds.observe(milliseconds / 1000);
    },
  });
  watchRedis(redis, runtime);
  await loadBullScripts(redis.client);
  const shared = await createShared(config, redis, runtime);
  const { queue, spool } = shared;
  // A name of our own for each life, so that a restarted process is told from the one that died.
  const replica = `${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`;
  const abuse = createAbuse({ runtime, config, redis, resolver: shared.resolver });
  const deps = { runtime, config, redis, replica, abuse, ...shared };
  const policy = wanted.includes('policy') ? (await import('@waypost/policy')).createPolicy(deps) : undefined;
  const asked = policy?.port ?? policyElsewhere(config);
  const held = new HeldMail({ ...deps, executor: redis.group, hostname: () => config().server.hostname });
  // Loaded where it is wanted: a process of one service starts sooner, and smaller, without the others' libraries.
  const parts: Record<ServiceName, () => Promise<Service[]>> = {
    delivery: async () => {
      const { createDelivery } = await import('@waypost/delivery');
      return [createDelivery({ ...deps, ledger: shared.store, alone: options.alone === true })];
    },
    policy: async () => (policy ? [policy.service] : []),
    events: async () => {
      const { createEvents } = await import('@waypost/events');
      return [createEvents({ ...deps, held, blobs: spool.blobs })];
    },
    api: async () => {
      const [{ createApi }, { learnFrom }] = await Promise.all([import('@waypost/api'), import('./learn.js')]);
      return [createApi({ ...deps, held, learn: learnFrom(deps) })];
    },
    ingress: () => createIngress({ ...deps, policy: asked }),
  };
  // What takes mail in starts last and stops first.
  const order: ServiceName[] = ['delivery', 'policy', 'events', 'api', 'ingress'];
  const chosen: Service[] = [];
  for (const name of order) if (wanted.includes(name)) chosen.push(...(await parts[name]()));
  const health = new HealthServer({
    host: config().telemetry.metrics_host,
    port: config().telemetry.metrics_port,
    metrics: runtime.metrics,
    services: () => chosen,
  });
  const presence = createPresence({ redis, replica, queue, alone: options.alone === true, runtime });
  return {
    services: [health, presence, abuse.service, ...chosen],
    runtime,
    health,
    keys: shared.keys,
    ingress: chosen.find((service): service is Ingress => service.name === 'ingress'),
    close: async () => {
      source.close();
      await runtime.tracer.stop();
      await redis.close();
      await spool.blobs.close();
      runtime.log.flush();
    },
  };
}

/** What takes mail in, over HTTP and SMTP, within one limit on what is in memory. */
async function createIngress(deps: Omit<HttpIngressDeps & IngressDeps, 'inFlight'>): Promise<Service[]> {
  const { createHttpIngress, createSmtpIngress, InFlight } = await import('@waypost/ingress');
  const inFlight = new InFlight(
    () => deps.config().limits.in_flight,
    (octets) => deps.runtime.metrics.inFlightBytes.set(octets),
  );
  return [createHttpIngress({ ...deps, inFlight }), createSmtpIngress({ ...deps, inFlight })];
}

/** @returns how policy is asked where another process has it, if the configuration says where. */
function policyElsewhere(config: () => Config): PolicyPort | undefined {
  if (config().policy.inline.url === undefined) return undefined;
  return createPolicyClient(() => {
    const { url = '', secret = '' } = config().policy.inline;
    return { url, secret };
  });
}

async function createRuntime(config: Config, wanted: readonly ServiceName[], given?: Logger): Promise<Runtime> {
  const { telemetry } = config;
  const name = wanted.length === SERVICES.length ? 'waypost' : `waypost-${wanted.join('-')}`;
  const log =
    given ?? createLogger(telemetry.log_level, { service: name }, { pii: telemetry.pii, key: telemetry.pii_key });
  const metrics = createMetrics();
  metrics.collectProcess();
  const tracer = await createTracer({
    endpoint: telemetry.otlp_endpoint,
    sampleRatio: telemetry.sample_ratio,
    service: name,
  });
  return { log, metrics, tracer };
}

async function createShared(config: () => Config, redis: RedisHandle, runtime: Runtime) {
  const { group } = redis;
  const queue = new PolicyQueue(config().policy.partitions);
  const { spool: settings } = config();
  const blobs = await createBlobStore(settings, group);
  const spool = new Spool(group, blobs, { inlineMax: settings.inline_max, cache: settings.cache });
  const store = new MessageStore(group, config().delivery.retention, (id, ...refs) => {
    spool
      .remove(id, ...refs)
      .catch((error: Error) => runtime.log.warn({ id, error: error.message }, 'a body could not be removed yet'));
  });
  const committer = new Committer(group, queue, {
    onCommit: (messages, milliseconds) => {
      runtime.metrics.commitMessages.observe(messages);
      runtime.metrics.commitSeconds.observe(milliseconds / 1000);
    },
    onReception: (event) => runtime.log.event(event),
  });
  const keys = new KeyStore(group, () => config().keys);
  const pressure = new BackPressure(redis, config().redis.high_water);
  const suppressions = new SuppressionStore(group);
  const trails = new TrailStore(group);
  const resolver = createResolver(config());
  const sites = new SiteFinder(resolver);
  const shared = { resolver, sites, queue, spool, store, committer, keys, pressure, suppressions, trails };
  return { ...shared, authenticator: keys };
}

export function createResolver({ delivery, server }: Config): MailResolver {
  const createLookup = delivery.dnssec ? createValidatedLookup : createNodeLookup;
  const lookup = createLookup({ servers: delivery.dns_servers });
  return new MailResolver(
    { lookup, isSelf: (name) => name === server.hostname },
    {
      timeout: delivery.timeouts.dns,
      family: delivery.ip_family,
      prefer: delivery.prefer_family === 'ipv6' ? 6 : 4,
      dnsFirst: delivery.dns_servers.length > 0,
    },
  );
}

function watchRedis({ group }: RedisHandle, { metrics, log }: Runtime): void {
  metrics.redisUp.set(1);
  group.on('available', () => {
    metrics.redisUp.set(1);
    log.info({}, 'Redis is back');
  });
  group.on('unavailable', () => metrics.redisUp.set(0));
}

interface PresenceDeps {
  readonly redis: RedisHandle;
  readonly replica: string;
  readonly queue: PolicyQueue;
  readonly alone: boolean;
  readonly runtime: Runtime;
}

function createPresence({ redis, replica, queue, alone, runtime }: PresenceDeps): Service {
  const presence = new Presence({
    executor: redis.group,
    replica,
    policy: queue,
    alone,
    onReaped: (dead, jobs) => {
      runtime.metrics.reaped.inc(jobs);
      runtime.log.warn({ dead, jobs }, 'gave back what a dead replica held');
    },
    onError: (error, context) => runtime.log.warn({ error: error.message }, context),
  });
  return { name: 'presence', start: () => presence.start(), stop: () => presence.stop(), ready: () => undefined };
}
