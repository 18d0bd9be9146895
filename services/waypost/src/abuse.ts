import { AccessLists, Bans, CallForward, Greylist, Habits, Limiter, RecipientList } from '@waypost/abuse';
import type { Config } from '@waypost/config';
import type { MailResolver } from '@waypost/dns';
import type { AbuseControl } from '@waypost/ingress';
import type { RedisHandle } from '@waypost/redis';
import type { Runtime, Service } from '@waypost/runtime';
import { Tarpit } from '@waypost/smtp';
import { createNameChecks } from './names.js';

export interface AbuseDeps {
  readonly runtime: Runtime;
  readonly config: () => Config;
  readonly redis: RedisHandle;
  readonly resolver: MailResolver;
}

/** What keeps abuse out of a process, and the service that keeps it up to date. */
export interface Abuse extends AbuseControl {
  readonly service: Service;
}

export function createAbuse({ runtime, config, redis, resolver }: AbuseDeps): Abuse {
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
  const refused = (error: Error) => {
    metrics.configReloadFailures.inc();
    log.error({ error: error.message }, 'a list cannot be read, the old one stays');
  };
  const lists = new AccessLists({
    settings: () => settings().lists,
    onLoaded: (networks) => log.info(networks, 'lists of networks read'),
    onError: refused,
  });
  const recipients = new RecipientList({
    files: () => settings().recipients.files,
    onLoaded: (addresses) => log.info({ addresses }, 'list of recipients read'),
    onError: refused,
  });
  const callForward = new CallForward({
    settings: () => settings().recipients.call_forward,
    hostname: config().server.hostname,
    onAnswer: (answer) => metrics.callForwards.inc({ answer }),
  });
  const greylist = new Greylist(redis.group, () => settings().greylist);
  const names = createNameChecks({ resolver, config, metrics });
  const habits = new Habits({
    redis,
    settings: () => settings().anomaly,
    onAnomaly: ({ credential, count, allowed, heldTill }) => {
      metrics.anomalies.inc();
      const held = heldTill > 0 ? new Date(heldTill).toISOString() : null;
      const line = { event: 'anomaly', credential, recipients: count, allowed, held };
      log.warn(line, 'a credential sends far more than its habit');
    },
    onError: (error, context) => log.warn({ error: error.message }, context),
  });
  const service: Service = {
    name: 'abuse',
    start: async () => {
      await lists.start();
      await recipients.start();
      await bans.start();
      await habits.start();
    },
    stop: async () => {
      tarpit.close();
      lists.stop();
      recipients.stop();
      bans.stop();
      await limiter.flush();
      await habits.stop();
    },
    ready: () => undefined,
  };
  return { bans, limiter, habits, tarpit, lists, recipients, callForward, greylist, names, service };
}
