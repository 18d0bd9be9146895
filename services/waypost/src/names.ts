import { Resolver } from 'node:dns/promises';
import type { Config } from '@waypost/config';
import { type MailResolver, ResolveError } from '@waypost/dns';
import type { NameChecks } from '@waypost/ingress';
import { checkSpf, type Records, type Resolve } from '@waypost/msgauth';

/** For all that SPF asks for one sender, as a client waits for the answer, ms. */
const SPF_TIMEOUT = 5_000;

/** What sessions ask of DNS. */
export function createNameChecks(resolver: MailResolver, { server, delivery }: Config): NameChecks {
  const resolve = createResolve(delivery.dns_servers);
  return {
    senderDomain: async (domain) => {
      try {
        await resolver.resolveMx(domain);
        return 'exists';
      } catch (error) {
        const reason = error instanceof ResolveError ? error.kind : 'temporary';
        if (reason === 'null-mx') return 'refuses';
        return reason === 'not-found' || reason === 'bad-name' ? 'missing' : reason === 'loop' ? 'exists' : 'unknown';
      }
    },
    spf: async (client) =>
      (await checkSpf({ ...client, resolve, receiver: server.hostname, timeout: SPF_TIMEOUT })).result,
  };
}

function createResolve(servers: readonly string[]): Resolve {
  const resolver = new Resolver({ timeout: 2_000, tries: 2 });
  if (servers.length > 0) resolver.setServers([...servers]);
  return async <K extends keyof Records>(name: string, kind: K) => {
    const records =
      kind === 'TXT'
        ? (await resolver.resolveTxt(name)).map((parts) => parts.join(''))
        : await ask(resolver, name, kind);
    return records as readonly Records[K][];
  };
}

function ask(resolver: Resolver, name: string, kind: keyof Records): Promise<readonly unknown[]> {
  if (kind === 'MX') return resolver.resolveMx(name);
  if (kind === 'PTR') return resolver.resolvePtr(name);
  return kind === 'A' ? resolver.resolve4(name) : resolver.resolve6(name);
}
