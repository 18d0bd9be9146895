import { generateKeyPairSync } from 'node:crypto';
import { readPrivateKey } from '@waypost/config';
import { type DkimKey, recordName, recordText } from '@waypost/signing';
import type { Records } from './dkim-peers.js';

/** @returns a new key in PEM. */
export function newKey(type: 'rsa' | 'ed25519'): string {
  const { privateKey } =
    type === 'rsa' ? generateKeyPairSync('rsa', { modulusLength: 2048 }) : generateKeyPairSync('ed25519');
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

export const dkimKey = (pem: string, selector: string, domain: string): DkimKey => ({
  ...readPrivateKey(pem),
  selector,
  domain,
});

/** @returns the DNS records of keys. */
export const recordsOf = (...keys: readonly DkimKey[]): Records =>
  Object.fromEntries(keys.map((key) => [recordName(key.selector, key.domain), recordText(key)]));
