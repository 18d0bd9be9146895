import { type Config, reportsTo } from '@waypost/config';
import type { MailResolver } from '@waypost/dns';
import { type LaneLedger, LaneScheduler } from '@waypost/queue';
import type { RedisHandle } from '@waypost/redis';
import { TlsCollector } from '@waypost/reports';
import type { Runtime, Service } from '@waypost/runtime';
import type { SiteFinder } from '@waypost/shaping';
import type { Spool } from '@waypost/spool';
import type { Committer, SuppressionStore } from '@waypost/store';
import { StsPolicies, type TlsSession } from '@waypost/transport-security';
import { Lanes } from './lanes.js';
import { ShapeState } from './shaping/state.js';
import { TransportGuards } from './transport/guard.js';

export interface DeliveryDeps {
  readonly runtime: Runtime;
  readonly config: () => Config;
  readonly redis: RedisHandle;
  readonly spool: Spool;
  readonly committer: Committer;
  readonly suppressions: SuppressionStore;
  readonly ledger: LaneLedger;
  readonly resolver: MailResolver;
  readonly sites: SiteFinder;
  /** This process, unique for its life. */
  readonly replica: string;
  /** No other process can be alive. */
  readonly alone?: boolean;
}

/** Serves the lanes: connects, sends, settles. */
export function createDelivery(deps: DeliveryDeps): Service {
  const { runtime, config, redis } = deps;
  const { delivery } = config();
  const shape = new ShapeState(
    redis,
    (error) => runtime.log.error({ error: error.message }, 'reading limits'),
    (scope) => scheduler.reshaped(scope),
  );
  const sts = new StsPolicies({
    resolver: deps.resolver,
    executor: redis.group,
    port: () => config().delivery.mta_sts_port,
    onError: (error, domain) => runtime.log.warn({ domain, error: error.message }, 'an MTA-STS policy cannot be had'),
  });
  const guards = new TransportGuards({ resolver: deps.resolver, sts, config });
  const collector = new TlsCollector({
    executor: redis.group,
    resolveTxt: (name) => deps.resolver.resolveTxt(name),
    settings: () => {
      const { reports } = config();
      return { window: reports.window, goesTo: (domain) => reportsTo(reports, 'tls', domain) };
    },
    onError: (error) => runtime.log.warn({ error: error.message }, 'TLS sessions could not be counted for reports yet'),
  });
  const onTls = (session: TlsSession) => {
    runtime.metrics.tlsSessions.inc({ policy: session.policy.type, result: session.failure?.type ?? 'ok' });
    collector.note(session);
  };
  const scheduler = new LaneScheduler({
    redis,
    replica: deps.replica,
    ...(deps.alone ? { alone: true } : {}),
    handler: new Lanes({ ...deps, shape, guards, onTls }),
    ledger: deps.ledger,
    idle: delivery.idle,
    maxSessions: () => config().delivery.sessions,
    onError: (error, context) => runtime.log.error({ error: error.message, stack: error.stack }, context),
  });
  let timer: NodeJS.Timeout | undefined;
  return {
    name: 'delivery',
    start: async () => {
      await shape.start();
      await scheduler.start();
      collector.start();
      timer = setInterval(() => runtime.metrics.deliverySessions.set(scheduler.sessions), 1000);
      timer.unref();
    },
    stop: async (deadline) => {
      clearInterval(timer);
      await scheduler.drain(deadline);
      shape.stop();
      await collector.stop();
    },
    ready: () => (redis.group.available ? undefined : 'Redis cannot be reached'),
  };
}
