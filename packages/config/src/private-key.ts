import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';

export type KeyAlgorithm = 'rsa' | 'ed25519';

/** A private key that may sign mail. */
export interface PrivateKey {
  readonly algorithm: KeyAlgorithm;
  readonly key: KeyObject;
  /** As `p=` of its DNS record has it. */
  readonly publicKey: string;
}

/** Shorter RSA keys are taken for no signature at all (RFC 8301 §3.2). */
const SHORTEST_RSA = 1024;

/**
 * @param pem PKCS#8 or PKCS#1, without a passphrase.
 * @throws Error that says what is wrong, and never quotes the key.
 */
export function readPrivateKey(pem: string): PrivateKey {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    throw new Error('this is no private key in PEM form without a passphrase');
  }
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === 'ed25519') return { algorithm: 'ed25519', key, publicKey: publicKeyOf(key) };
  if (type !== 'rsa') throw new Error(`a key of type ${type} cannot sign; DKIM and ARC know rsa and ed25519`);
  const bits = details?.modulusLength ?? 0;
  if (bits < SHORTEST_RSA)
    throw new Error(`an RSA key of ${bits} bits never verifies; it needs ${SHORTEST_RSA} at least`);
  return { algorithm: 'rsa', key, publicKey: publicKeyOf(key) };
}

/** RSA as SubjectPublicKeyInfo (RFC 6376 §3.6.1), Ed25519 as its bare 32 octets (RFC 8463 §4), in base64. */
function publicKeyOf(key: KeyObject): string {
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' });
  return (key.asymmetricKeyType === 'ed25519' ? spki.subarray(-32) : spki).toString('base64');
}
