import { createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { SmimeIdentity, SmimeSettings } from './smime-schema.js';

/** @returns what is wrong with the section `smime`, a sentence each; never quotes a key. */
export function checkSmime({ identities, certificates, anchors }: SmimeSettings): string[] {
  return [
    ...identities.flatMap(checkIdentity),
    ...certificates
      .filter((path) => !existsSync(path))
      .map((path) => `smime.certificates: there is no file or folder ${path}`),
    ...(anchors === '' || isCertificate(anchors) ? [] : ['smime.anchors: this is no certificate in PEM form']),
  ];
}

function checkIdentity({ match, certificate, key, pkcs12 }: SmimeIdentity): string[] {
  const at = `smime.identities "${match}"`;
  if (pkcs12 !== undefined) {
    if (certificate !== undefined || key !== undefined) return [`${at}: give "pkcs12", or "certificate" and "key"`];
    return existsSync(pkcs12) ? [] : [`${at}: there is no file ${pkcs12}`];
  }
  if (certificate === undefined || key === undefined) return [`${at}: give "pkcs12", or "certificate" and "key"`];
  if (!isCertificate(certificate)) return [`${at}: "certificate" is none in PEM form`];
  return isKey(key) ? [] : [`${at}: "key" is no private key in PEM form without a passphrase`];
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}

function isKey(pem: string): boolean {
  try {
    return createPrivateKey(pem).type === 'private';
  } catch {
    return false;
  }
}
