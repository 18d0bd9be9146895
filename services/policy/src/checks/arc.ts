import { type ArcSettings, type Config, readPrivateKey } from '@waypost/config';
import { domainOf, matchDomain } from '@waypost/mail';
import type { Runtime } from '@waypost/runtime';
import { arcSeal, type DkimKey, openMessage, ownResults } from '@waypost/signing';
import { type Check, type CheckContext, PASS } from '../check.js';
import { ADDED_FIELDS } from './dkim.js';

export interface ArcDeps {
  readonly config: () => Config;
  readonly runtime: Pick<Runtime, 'log' | 'metrics'>;
}

/**
 * Seals mail from outside (RFC 8617): whoever it goes on to learns what was found here, even where what was changed on the way
 * broke its signatures. It comes after all checks that change the message. Mail goes on without a seal where it cannot be
 * made: it only adds to what can be believed of a message.
 */
export function arcCheck(deps: ArcDeps): Check {
  const keys = new WeakMap<ArcSettings, DkimKey>();
  const keyOf = (settings: ArcSettings): DkimKey => {
    const { domain, selector } = settings;
    const key = keys.get(settings) ?? { ...readPrivateKey(settings.key), domain, selector };
    keys.set(settings, key);
    return key;
  };
  return {
    name: 'arc',
    run: async (context) => {
      const { seal: settings } = deps.config().arc;
      if (!settings || context.meta.origin.kind !== 'mx' || !isFor(settings, context)) return PASS;
      try {
        await seal(context, settings, keyOf(settings), deps);
      } catch (error) {
        deps.runtime.metrics.signingFailures.inc({ kind: 'arc' });
        deps.runtime.log.error({ id: context.meta.id, error: (error as Error).message }, 'a message goes on unsealed');
      }
      return PASS;
    },
  };
}

const isFor = ({ recipients }: ArcSettings, { open }: CheckContext) =>
  open.some(({ recipient }) => recipients.some((pattern) => matchDomain(pattern, domainOf(recipient.address))));

async function seal(context: CheckContext, { signed }: ArcSettings, key: DkimKey, { config }: ArcDeps): Promise<void> {
  const found = context.findings.auth?.arc?.result;
  if (found === undefined)
    throw new Error('the check "auth" did not come before: nothing is known that could be sealed');
  const { server, auth, limits } = config();
  const authserv = auth.authserv_id ?? server.hostname;
  const message = await openMessage(await context.leaving(), limits.header_size + ADDED_FIELDS);
  try {
    const results = ownResults(message.header, authserv);
    if (results === undefined) throw new Error(`there are no Authentication-Results of ${authserv}`);
    const chain = found === 'none' || found === 'pass' ? found : 'fail';
    const content = { header: message.header, bodyHash: await message.bodyHash() };
    const set = await arcSeal({ ...content, results, chain, at: Math.floor(Date.now() / 1000) }, key, signed);
    for (const field of set ?? []) context.addHeader(field);
  } finally {
    message.close();
  }
}
