import type { Config } from '@waypost/config';
import { toAsciiDomain } from '@waypost/dns';
import { domainOf, firstValue, headerFields } from '@waypost/mail';
import { parseAddresses } from '@waypost/mime';
import type { Runtime } from '@waypost/runtime';
import { dkimSign, type Keyring, openMessage, type SenderFacts } from '@waypost/signing';
import { type Check, type CheckContext, PASS, type Verdict } from '../check.js';

export interface DkimDeps {
  readonly config: () => Config;
  readonly runtime: Pick<Runtime, 'log' | 'metrics'>;
  readonly keyring: Keyring;
}

/** Fields that we add to a header section of the size that ingress allows. */
export const ADDED_FIELDS = 65_536;
const LONGEST_FROM = 16_384;

/**
 * Signs mail of our own senders with the keys of their domain. It comes after all checks that change the message: what they
 * put before it is signed too, and what comes later is not. Mail from outside is never signed, whoever it says it is from.
 */
export function dkimCheck(deps: DkimDeps): Check {
  return {
    name: 'dkim',
    run: async (context) => {
      if (context.meta.origin.kind === 'mx' || deps.config().dkim.domains.length === 0) return PASS;
      try {
        const lacking = await sign(context, deps);
        return lacking === undefined ? PASS : unsigned(lacking, context, deps);
      } catch (error) {
        return unsigned((error as Error).message, context, deps);
      }
    },
  };
}

/** @returns why the message ought to be signed and is not, if so. */
async function sign(context: CheckContext, { config, runtime, keyring }: DkimDeps): Promise<string | undefined> {
  const { dkim, limits } = config();
  const message = await openMessage(await context.leaving(), limits.header_size + ADDED_FIELDS);
  try {
    const { header } = message;
    const { keys, lacking } = await keyring.keysFor(sendersOf(header, context));
    if (keys.length === 0) return lacking;
    const content = { header, bodyHash: await message.bodyHash() };
    const at = Math.floor(Date.now() / 1000);
    const lifetime = dkim.lifetime === undefined ? undefined : Math.ceil(dkim.lifetime / 1000);
    for (const field of await dkimSign(content, keys, dkim, { at, lifetime })) context.addHeader(field);
    for (const { algorithm } of keys) runtime.metrics.dkimSignatures.inc({ algorithm });
    return lacking;
  } finally {
    message.close();
  }
}

function sendersOf(header: Buffer, { meta }: CheckContext): SenderFacts {
  const from = firstValue(header, headerFields(header, header.length), 'from');
  const [author] = parseAddresses(from?.slice(0, LONGEST_FROM) ?? '');
  const ascii = (address: string) => toAsciiDomain(domainOf(address)) ?? '';
  return {
    author: ascii(author?.address ?? ''),
    sender: ascii(meta.envelope.sender),
    tenant: meta.origin.tenant,
  };
}

function unsigned(why: string, { meta }: CheckContext, { config, runtime }: DkimDeps): Verdict {
  const defers = config().dkim.on_error === 'defer';
  runtime.metrics.signingFailures.inc({ kind: 'dkim' });
  runtime.log.error({ id: meta.id, error: why, deferred: defers }, 'a message could not be signed');
  return defers ? { kind: 'defer', reason: 'The message cannot be signed for now' } : PASS;
}
