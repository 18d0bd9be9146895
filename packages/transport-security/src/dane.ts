import { createHash, X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { TlsaRecord } from '@waypost/dns';
import { TlsError } from './tls-session.js';

const DANE_TA = 2;
const DANE_EE = 3;
/** Certificates looked at of a chain. */
const LONGEST_CHAIN = 10;

/** @returns the records that SMTP can use: trust anchors and end entities with a known selector and digest (RFC 7672 §3.1). */
export function usableTlsa(records: readonly TlsaRecord[]): TlsaRecord[] {
  return records.filter(
    ({ usage, selector, matchingType, certificate }) =>
      (usage === DANE_TA || usage === DANE_EE) && selector <= 1 && fitsDigest(matchingType, certificate.length),
  );
}

const LENGTHS: Record<number, number | undefined> = { 1: 32, 2: 64 };
const fitsDigest = (type: number, length: number) => (type === 0 ? length > 0 : LENGTHS[type] === length);

/**
 * Authenticates a server by usable TLSA records (RFC 7672 §3.1): an end entity by its key or certificate alone, whatever
 * names and dates it states; a trust anchor by a chain to it, with dates and one of `names`.
 * @returns what is wrong; undefined where the server is authentic.
 */
export function checkDane(
  socket: TLSSocket,
  records: readonly TlsaRecord[],
  names: readonly string[],
): TlsError | undefined {
  const chain = chainOf(socket);
  const [leaf] = chain;
  if (!leaf) return new TlsError('validation-failure', 'the server showed no certificate');
  if (records.some((record) => record.usage === DANE_EE && matches(record, leaf))) return undefined;
  const anchors = records.filter(({ usage }) => usage === DANE_TA);
  const at = chain.findIndex((one, index) => index > 0 && anchors.some((record) => matches(record, one)));
  if (at < 0) return new TlsError('tlsa-invalid', 'its certificate fits none of its TLSA records');
  const broken = checkChain(chain.slice(0, at + 1));
  if (broken) return broken;
  return names.some((name) => leaf.checkHost(name))
    ? undefined
    : new TlsError('certificate-host-mismatch', `its certificate is not for ${names.join(' or ')}`);
}

function chainOf(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let next = socket.getPeerCertificate(true);
  while (next?.raw && chain.length < LONGEST_CHAIN) {
    chain.push(new X509Certificate(next.raw));
    if (!next.issuerCertificate || next.issuerCertificate === next) break;
    next = next.issuerCertificate;
  }
  return chain;
}

/** @param chain from the server's certificate to the trust anchor, which is trusted for what it is. */
function checkChain(chain: readonly X509Certificate[]): TlsError | undefined {
  const now = Date.now();
  for (const [at, one] of chain.entries()) {
    const [from, to] = [Date.parse(one.validFrom), Date.parse(one.validTo)];
    if (now < from || now > to) {
      const type = now > to ? 'certificate-expired' : 'certificate-not-trusted';
      return new TlsError(type, `certificate ${at + 1} of its chain is out of date`);
    }
    const issuer = chain[at + 1];
    if (!issuer) return undefined;
    if (!issuer.ca || !one.checkIssued(issuer) || !one.verify(issuer.publicKey)) {
      return new TlsError('certificate-not-trusted', `certificate ${at + 1} of its chain is not signed by the next`);
    }
  }
  return undefined;
}

function matches({ selector, matchingType, certificate }: TlsaRecord, one: X509Certificate): boolean {
  const content = selector === 0 ? one.raw : (one.publicKey.export({ type: 'spki', format: 'der' }) as Buffer);
  if (matchingType === 0) return certificate.equals(content);
  return certificate.equals(
    createHash(matchingType === 1 ? 'sha256' : 'sha512')
      .update(content)
      .digest(),
  );
}

/** @returns the records as a report writes them (RFC 8460 §4.4). */
export function tlsaStrings(records: readonly TlsaRecord[]): string[] {
  return records.map(
    ({ usage, selector, matchingType, certificate }) =>
      `${usage} ${selector} ${matchingType} ${certificate.toString('hex').slice(0, 1024)}`,
  );
}
