import { request } from 'node:https';
import { isIP } from 'node:net';
import type { MailResolver } from '@waypost/dns';
import { isPublicAddress } from './public-address.js';

export interface UploadSettings {
  readonly resolver: Pick<MailResolver, 'resolveAddresses'>;
  /** Private and loopback addresses may be written to. */
  readonly privateAddresses: boolean;
  /** ms for all of it. */
  readonly timeout?: number;
}

const TIMEOUT = 20_000;

/**
 * Posts a file to a web server that a record in DNS names, so whoever wrote it chose where we connect: to public addresses
 * alone, to the one that was looked at, and redirects are not followed.
 * @throws Error that says why the server does not have it.
 */
export async function upload(
  uri: string,
  file: { readonly type: string; readonly content: Buffer },
  { resolver, privateAddresses, timeout = TIMEOUT }: UploadSettings,
): Promise<void> {
  const url = new URL(uri);
  if (url.protocol !== 'https:') throw new Error(`${url.protocol} is no way to upload`);
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const found = await resolver.resolveAddresses(isIP(host) ? `[${host}]` : host);
  const [at] = found.filter(({ address }) => privateAddresses || isPublicAddress(address));
  if (!at) throw new Error(`${host} is at ${found[0]?.address ?? 'no address'}, which is not a public address`);
  const status = await post(url, { ...file, address: at.address, host, timeout });
  if (status < 200 || status > 299) throw new Error(`${host} answers ${status}`);
}

interface Posting {
  readonly type: string;
  readonly content: Buffer;
  readonly address: string;
  readonly host: string;
  readonly timeout: number;
}

function post(url: URL, { type, content, address, host, timeout }: Posting): Promise<number> {
  return new Promise<number>((resolve, reject) => {
    const outgoing = request({
      host: address,
      port: url.port === '' ? 443 : Number(url.port),
      path: `${url.pathname}${url.search}`,
      method: 'POST',
      headers: { host: url.host, 'content-type': type, 'content-length': content.length },
      agent: false,
      minVersion: 'TLSv1.2',
      signal: AbortSignal.timeout(timeout),
      ...(isIP(host) ? {} : { servername: host }),
    });
    outgoing.once('error', (error) => reject(new Error(`${host} could not be posted to: ${error.message}`)));
    outgoing.once('response', (response) => {
      resolve(response.statusCode ?? 0);
      // The status says all; what else it sends is not read.
      outgoing.destroy();
    });
    outgoing.end(content);
  });
}
