import type { ClientRequest } from 'node:http';
import { request } from 'node:https';
import type { MailResolver } from '@waypost/dns';
import { parseStsPolicy, type StsPolicy, StsPolicyError } from './mta-sts.js';
import { classifyTlsError, type TlsFailure } from './tls-session.js';

export interface StsFetchSettings {
  readonly resolver: MailResolver;
  /** 443 but in tests. */
  readonly port: number;
  /** ms for all of it. */
  readonly timeout?: number;
}

/** Octets of a policy at most (RFC 8461 §3.3 advises 64 KiB). */
const LONGEST = 65_536;
const TIMEOUT = 30_000;

/**
 * Fetches a domain's policy (RFC 8461 §3.3): over HTTPS with a certificate for `mta-sts.<domain>`; redirects are not followed.
 * @throws Error that says why there is none; StsPolicyError for one that cannot be understood.
 */
export async function fetchStsPolicy(domain: string, settings: StsFetchSettings): Promise<StsPolicy> {
  const host = `mta-sts.${domain}`;
  const { resolver, port, timeout = TIMEOUT } = settings;
  const [first] = await resolver.resolveAddresses(host);
  const outgoing = request({
    host: first?.address,
    servername: host,
    port,
    path: '/.well-known/mta-sts.txt',
    headers: { host, accept: 'text/plain' },
    agent: false,
    minVersion: 'TLSv1.2',
    signal: AbortSignal.timeout(timeout),
  });
  return parseStsPolicy(await read(outgoing, host));
}

function read(outgoing: ClientRequest, host: string): Promise<string> {
  return new Promise<string>((resolve, reject) => {
    outgoing.once('error', reject);
    outgoing.once('response', (response) => {
      const type = response.headers['content-type'] ?? '';
      response.once('error', reject);
      if (response.statusCode !== 200 || !/^text\/plain\s*(?:;|$)/i.test(type)) {
        response.destroy();
        if (response.statusCode !== 200) return reject(new Error(`${host} answers ${response.statusCode}`));
        return reject(new StsPolicyError(`${host} sends "${type}", not text/plain`));
      }
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        chunks.push(chunk);
        if (size > LONGEST) response.destroy(new StsPolicyError(`${host} sends more than ${LONGEST} octets`));
      });
      response.once('end', () => resolve(Buffer.concat(chunks).toString()));
    });
    outgoing.end();
  });
}

/** @returns what a report calls it that a policy could not be had (RFC 8460 §4.3). */
export function stsFailure(error: Error & { readonly code?: string }): TlsFailure {
  if (error instanceof StsPolicyError) return { type: 'sts-policy-invalid', reason: error.message };
  const { type } = classifyTlsError(error);
  const reason = error.code ?? error.message.slice(0, 200);
  return { type: type.startsWith('certificate-') ? 'sts-webpki-invalid' : 'sts-policy-fetch-error', reason };
}
