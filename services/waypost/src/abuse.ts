import { Bans, Limiter } from '@waypost/abuse';
import type { Config } from '@waypost/config';
import type { RedisHandle } from '@waypost/redis';
import type { Runtime, Service } from '@waypost/runtime';
import { Tarpit } from '@waypost/smtp';

export interface AbuseDeps {
  readonly runtime: Runtime;
  readonly config: () => Config;
  readonly redis: RedisHandle;
}

/** What keeps abuse out of a process, and the service that keeps it up to date. */
export interface Abuse {
  readonly bans: Bans;
  readonly limiter: Limiter;
  readonly tarpit: Tarpit;
  readonly service: Service;
}

export function createAbuse({ runtime, config, redis }: AbuseDeps): Abuse {
  const { metrics, log } = runtime;
  const settings = () => config().abuse;
  const bans = new Bans({
    redis,
    settings: () => settings().bans,
    onOffence: (offence) => metrics.offences.inc({ offence }),
    onBan: (network, reason, till) => {
      metrics.bans.inc({ reason });
      log.warn({ event: 'ban', network, reason, till: new Date(till).toISOString() }, 'an address is banned');
    },
    onChange: (size) => metrics.banned.set(size),
    onError: (error, context) => log.warn({ error: error.message }, context),
  });
  const limiter = new Limiter(redis.group, settings);
  const tarpit = new Tarpit(
    () => settings().tarpit,
    (held) => metrics.tarpitted.set(held),
  );
  const service: Service = {
    name: 'abuse',
    start: () => bans.start(),
    stop: async () => {
      tarpit.close();
      bans.stop();
      await limiter.flush();
    },
    ready: () => undefined,
  };
  return { bans, limiter, tarpit, service };
}
