import type { Config, ListenerConfig } from '@waypost/config';
import type { PolicyPort } from '@waypost/inline';
import type { RedisHandle } from '@waypost/redis';
import type { Runtime, Service } from '@waypost/runtime';
import { certificateEnd, loadIdentities, selfSignedIdentity, type TlsIdentity, watchIdentities } from '@waypost/smtp';
import type { Spool } from '@waypost/spool';
import { type BackPressure, type Committer, RateLimiter } from '@waypost/store';
import type { InFlight } from './in-flight.js';
import type { AbuseControl, Authenticator } from './ports.js';
import { InlinePolicy } from './smtp/inline-policy.js';
import { SmtpListener } from './smtp/listener.js';
import { ReportRecipients } from './smtp/returned.js';

export interface IngressDeps {
  readonly runtime: Runtime;
  readonly redis: RedisHandle;
  readonly config: () => Config;
  readonly spool: Spool;
  readonly committer: Committer;
  readonly pressure: BackPressure;
  readonly policy: PolicyPort | undefined;
  readonly authenticator: Authenticator;
  readonly inFlight: InFlight;
  readonly abuse: AbuseControl;
}

/** What ingress listens on, for the start-up message and tests. */
export interface Ingress extends Service {
  readonly ports: ReadonlyMap<string, number>;
}

const DAY = 86_400_000;

/** The SMTP listeners of the configuration. */
export function createSmtpIngress(deps: IngressDeps): Ingress {
  const { config, runtime } = deps;
  const listeners: SmtpListener[] = [];
  const ports = new Map<string, number>();
  const reports = new ReportRecipients(() => config().bounces, new RateLimiter(deps.redis.group, DAY));
  // One for all, as its limits are the process's.
  const inline = deps.policy ? new InlinePolicy({ policy: deps.policy, config, runtime }) : undefined;
  let unwatch = () => {};
  return {
    name: 'ingress',
    ports,
    start: async () => {
      const identities = await tlsIdentities(config());
      const loaded = identities.length > 0 ? loadIdentities(identities, config().tls.min_version) : undefined;
      for (const listener of config().listeners) {
        const one = new SmtpListener(listener, {
          ...deps,
          inline: inlineFor(listener),
          identities: loaded,
          reports,
        });
        await one.start();
        listeners.push(one);
        ports.set(listener.name, one.port);
      }
      showExpiry(identities);
      unwatch = watchIdentities(identities, () => reload(identities));
      deps.pressure.start();
    },
    stop: async (deadline) => {
      unwatch();
      await Promise.all(listeners.map((listener) => listener.stop(deadline)));
      deps.pressure.stop();
    },
    ready: () => deps.pressure.reason(),
  };

  function showExpiry(identities: readonly TlsIdentity[]): void {
    for (const identity of identities) {
      const name = identity.servername ?? 'default';
      runtime.metrics.certificateExpiry.set({ name }, certificateEnd(identity) / 1000);
    }
  }

  function inlineFor({ name, inline: wanted }: ListenerConfig): InlinePolicy | undefined {
    if (wanted && !inline) {
      throw new Error(`listeners "${name}": "inline" needs the policy service in this process, or policy.inline.url`);
    }
    return wanted ? inline : undefined;
  }

  function reload(identities: readonly TlsIdentity[]): void {
    try {
      const loaded = loadIdentities(identities, config().tls.min_version);
      for (const listener of listeners) listener.updateIdentities(loaded);
      showExpiry(identities);
      runtime.log.info({}, 'certificates reloaded');
    } catch (error) {
      runtime.metrics.configReloadFailures.inc();
      runtime.log.error({ error: (error as Error).message }, 'new certificates could not be read, the old ones stay');
    }
  }
}

async function tlsIdentities({ tls, server, listeners }: Config): Promise<TlsIdentity[]> {
  if (tls.identities.length > 0) return tls.identities;
  if (!tls.self_signed_dir || listeners.every((listener) => listener.tls === 'none')) return [];
  return [await selfSignedIdentity(tls.self_signed_dir, server.hostname)];
}
