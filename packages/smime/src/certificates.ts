import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { emailsOf } from './cms/verify.js';

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * @param file PEM with any number of certificates, or one in DER.
 * @returns each in DER. @throws Error for what is no certificate.
 */
export function readCertificates(file: Buffer): Buffer[] {
  const text = file.toString('latin1');
  const found = text.includes('-----BEGIN') ? (text.match(PEM) ?? []) : [file];
  if (found.length === 0) throw new Error('there is no certificate in it');
  return found.map((one) => new X509Certificate(one).raw);
}

/** Someone's certificate, as it is used to encrypt to him. */
export interface KnownCertificate {
  readonly emails: readonly string[];
  readonly certificate: Buffer;
  readonly subject: string;
  readonly issuer: string;
  readonly from: Date;
  readonly until: Date;
}

export function describeCertificate(certificate: Buffer): KnownCertificate {
  const { subject, issuer, validFrom, validTo } = new X509Certificate(certificate);
  const line = (text: string) => text.replaceAll('\n', ', ');
  return {
    emails: emailsOf(certificate).map((email) => email.toLowerCase()),
    certificate,
    subject: line(subject),
    issuer: line(issuer),
    from: new Date(validFrom),
    until: new Date(validTo),
  };
}

/** A certificate with its key, and those between it and an anchor. */
export interface Identity {
  /** DER; the own one first. */
  readonly certificates: readonly Buffer[];
  /** PKCS#8, PEM. */
  readonly key: string;
}

/** @throws Error where the key is not that of the first certificate. */
export function toIdentity(certificates: readonly Buffer[], keyPem: string): Identity {
  const key = createPrivateKey(keyPem);
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' });
  const own = certificates.find((one) =>
    new X509Certificate(one).publicKey.export({ type: 'spki', format: 'der' }).equals(spki),
  );
  if (!own) throw new Error('none of the certificates is that of the key');
  const pem = key.export({ type: 'pkcs8', format: 'pem' }).toString();
  return { certificates: [own, ...certificates.filter((one) => one !== own)], key: pem };
}
