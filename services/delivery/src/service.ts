import type { Config } from '@waypost/config';
import { createNodeLookup, MailResolver } from '@waypost/dns';
import { type LaneLedger, LaneScheduler } from '@waypost/queue';
import type { RedisHandle } from '@waypost/redis';
import type { Runtime, Service } from '@waypost/runtime';
import type { Spool } from '@waypost/spool';
import type { Committer } from '@waypost/store';
import { Lanes } from './lanes.js';

export interface DeliveryDeps {
  readonly runtime: Runtime;
  readonly config: () => Config;
  readonly redis: RedisHandle;
  readonly spool: Spool;
  readonly committer: Committer;
  readonly ledger: LaneLedger;
  /** This process, unique for its life. */
  readonly replica: string;
}

/** Serves the lanes: connects, sends, settles. */
export function createDelivery(deps: DeliveryDeps): Service {
  const { runtime, config, redis } = deps;
  const { delivery, server } = config();
  const resolver = new MailResolver(
    { lookup: createNodeLookup({ servers: delivery.dns_servers }), isSelf: (name) => name === server.hostname },
    { timeout: delivery.timeouts.dns, family: delivery.ip_family, dnsFirst: delivery.dns_servers.length > 0 },
  );
  const scheduler = new LaneScheduler({
    redis,
    replica: deps.replica,
    handler: new Lanes({ ...deps, resolver }),
    ledger: deps.ledger,
    idle: delivery.idle,
    onError: (error, context) => runtime.log.error({ error: error.message, stack: error.stack }, context),
  });
  let timer: NodeJS.Timeout | undefined;
  return {
    name: 'delivery',
    start: async () => {
      await scheduler.start();
      timer = setInterval(() => runtime.metrics.deliverySessions.set(scheduler.sessions), 1000);
      timer.unref();
    },
    stop: async (deadline) => {
      clearInterval(timer);
      await scheduler.drain(deadline);
    },
    ready: () => (redis.group.available ? undefined : 'Redis cannot be reached'),
  };
}
