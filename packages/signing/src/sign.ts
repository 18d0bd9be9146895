import { createHash, type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';
import type { PrivateKey } from '@waypost/config';
import { relaxedField } from './relaxed.js';
import { type Tag, tagField } from './tags.js';

const signInPool = promisify(
  (algorithm: string | null, data: Buffer, key: KeyObject, done: (error: Error | null, signature: Buffer) => void) =>
    sign(algorithm, data, key, done),
);

/** Signs octets, given as text, in a thread of libuv's pool. @returns the signature in base64. */
async function signText(text: string, { algorithm, key }: PrivateKey): Promise<string> {
  const data = Buffer.from(text, 'latin1');
  // Of Ed25519 the SHA-256 hash is what is signed (RFC 8463 §3).
  const signature =
    algorithm === 'rsa'
      ? await signInPool('sha256', data, key)
      : await signInPool(null, createHash('sha256').update(data).digest(), key);
  return signature.toString('base64');
}

/**
 * Makes a field that signs other fields and itself (RFC 6376 §3.7).
 * @param covered the other fields in relaxed form, each ended by CRLF.
 * @param tags with an empty `b`, in which the signature comes.
 */
export async function signedField(
  name: string,
  covered: string,
  key: PrivateKey,
  tags: readonly Tag[],
): Promise<string> {
  const signature = await signText(covered + relaxedField(tagField(name, tags)), key);
  return tagField(
    name,
    tags.map(([tag, value]) => [tag, tag === 'b' ? signature : value]),
  );
}
