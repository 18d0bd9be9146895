import type { Config } from '@waypost/config';
import { type MailResolver, ResolveError } from '@waypost/dns';
import type { NameChecks } from '@waypost/ingress';
import { checkSpf, type Resolve } from '@waypost/msgauth';

/** For all that SPF asks for one sender, as a client waits for the answer, ms. */
const SPF_TIMEOUT = 5_000;

/** What sessions ask of DNS. */
export function createNameChecks(resolver: MailResolver, { server }: Config): NameChecks {
  const resolve: Resolve = (name, kind) => resolver.records(name, kind);
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
