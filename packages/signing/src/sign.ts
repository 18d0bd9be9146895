import { createHash, type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';
import type { KeyAlgorithm } from '@waypost/config';

const signInPool = promisify(
  (algorithm: string | null, data: Buffer, key: KeyObject, done: (error: Error | null, signature: Buffer) => void) =>
    sign(algorithm, data, key, done),
);

/**
 * Signs canonical header octets, in a thread of libuv's pool.
 * @param text octets as text.
 * @returns the signature in base64.
 */
export async function signText(text: string, algorithm: KeyAlgorithm, key: KeyObject): Promise<string> {
  const data = Buffer.from(text, 'latin1');
  // Of Ed25519 the SHA-256 hash is what is signed (RFC 8463 §3).
  const signature =
    algorithm === 'rsa'
      ? await signInPool('sha256', data, key)
      : await signInPool(null, createHash('sha256').update(data).digest(), key);
  return signature.toString('base64');
}
