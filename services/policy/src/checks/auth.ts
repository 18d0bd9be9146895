import type { AuthConfig, Config } from '@waypost/config';
import { type AuthFindings, authenticate, claimsToBe, createKeyCache, type Resolve } from '@waypost/msgauth';
import type { Runtime } from '@waypost/runtime';
import { type Check, type CheckContext, PASS, type Verdict } from '../check.js';
import { type Applied, applyDmarc } from './auth-policy.js';
import { authSymbols } from './auth-symbols.js';

export interface AuthDeps {
  readonly config: () => Config;
  readonly runtime: Pick<Runtime, 'metrics'>;
  readonly resolver: { readonly records: Resolve };
  /** Told of every message whose author's domain publishes a policy, for the reports to it. */
  readonly onDmarc?: (message: AuthenticatedMessage) => void;
}

/** What a report to the author's domain is made from. */
export interface AuthenticatedMessage {
  readonly id: string;
  readonly found: AuthFindings;
  readonly applied: Applied;
  readonly remoteAddress: string;
  readonly sender: string;
  /** ms since the epoch. */
  readonly at: number;
}

/**
 * Tells who mail from outside is from (SPF, DKIM, ARC, DMARC), notes it in the header and does what the author's domain asks
 * for. Our own mail is not looked at: it has no signature yet, and comes from where SPF knows nothing of.
 */
export function authCheck(deps: AuthDeps): Check {
  const keys = createKeyCache();
  return {
    name: 'auth',
    run: async (context) => {
      const { meta } = context;
      if (meta.origin.kind !== 'mx') return PASS;
      const { auth, server } = deps.config();
      const authserv = auth.authserv_id ?? server.hostname;
      const resolve = withTimeout(deps.resolver.records.bind(deps.resolver), auth.dns_timeout);
      const settings = {
        authserv,
        orgDomain: auth.dmarc.org_domain,
        minBits: auth.dkim.min_bits,
        maxSignatures: auth.dkim.max_signatures,
        partialBody: auth.dkim.partial_body,
      };
      const found = await authenticate(await inputOf(context), { resolve, keys, settings });
      context.removeHeader((name, value) => name === 'authentication-results' && claimsToBe(value, authserv));
      if (auth.received_spf) context.addHeader(receivedSpf(found, context, authserv));
      context.addHeader(`Authentication-Results: ${found.header}`);
      return judge(found, context, auth, deps);
    },
  };
}

async function inputOf(context: CheckContext) {
  const { origin, envelope, body } = context.meta;
  const message = await context.message();
  return {
    message,
    // Of a message longer than what checks look at, the beginning is there; its body is hashed as it is read.
    open: message.length < body.size ? () => context.body() : undefined,
    remoteAddress: (origin.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/i, ''),
    helo: origin.helo ?? '',
    sender: envelope.sender,
  };
}

function judge(found: AuthFindings, context: CheckContext, auth: AuthConfig, deps: AuthDeps): Verdict {
  const { spf, dkim, dmarc, arc, header } = found;
  context.findings.auth = {
    spf,
    dkim,
    dmarc: { result: dmarc.result, domain: dmarc.domain, policy: dmarc.policy },
    arc: { result: arc.result, instance: arc.instance },
    header,
  };
  const { authResults } = deps.runtime.metrics;
  for (const [method, result] of [
    ['spf', spf.result],
    ['dmarc', dmarc.result],
    ['arc', arc.result],
    ...(dkim.length > 0 ? dkim.map((one) => ['dkim', one.result] as const) : [['dkim', 'none'] as const]),
  ] as const) {
    authResults.inc({ method, result });
  }
  const { meta } = context;
  const remoteAddress = meta.origin.remoteAddress ?? '';
  const applied = applyDmarc(found, remoteAddress, auth);
  for (const { name, score, reason } of authSymbols(found, applied)) context.symbol(name, score, reason);
  if (applied.tag) context.tag('dmarc', applied.tag);
  if (applied.verdict.kind !== 'defer' && !context.dry) {
    const { id, receivedAt: at } = meta;
    deps.onDmarc?.({ id, found, applied, remoteAddress, sender: meta.envelope.sender, at });
  }
  return applied.verdict;
}

function receivedSpf({ spf }: AuthFindings, { meta }: CheckContext, authserv: string): string {
  const quoted = (text: string) =>
    `"${text
      .replace(/[^\x20-\x7e]+/g, '?')
      .slice(0, 320)
      .replace(/["\\]/g, '\\$&')}"`;
  const { remoteAddress = '', helo = '' } = meta.origin;
  const pairs = [
    `receiver=${quoted(authserv)}`,
    `client-ip=${quoted(remoteAddress)}`,
    `envelope-from=${quoted(meta.envelope.sender)}`,
    `helo=${quoted(helo)}`,
    `identity=${spf.identity}`,
  ];
  return `Received-SPF: ${spf.result} ${pairs.join(';\r\n\t')}`;
}

/** A name server that is mute takes a message's time, not more than this of it for each question. */
function withTimeout(resolve: Resolve, timeout: number): Resolve {
  return async (name, kind) => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const error = Object.assign(new Error(`no answer for ${kind} of ${name} in time`), { code: 'ETIMEOUT' });
      timer = setTimeout(() => reject(error), timeout);
    });
    return Promise.race([resolve(name, kind), late]).finally(() => clearTimeout(timer));
  };
}
