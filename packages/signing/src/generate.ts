import { generateKeyPair } from 'node:crypto';
import { open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { type KeyAlgorithm, type PrivateKey, readPrivateKey } from '@waypost/config';

const generate = promisify(generateKeyPair);

/**
 * Makes a key and writes it to a file that only its owner can read (PKCS#8, PEM).
 * @param bits of an RSA key.
 * @throws Error with code EEXIST where the file is there: a key in use is never overwritten.
 */
export async function generateKey(file: string, algorithm: KeyAlgorithm, bits: number): Promise<PrivateKey> {
  const { privateKey } =
    algorithm === 'rsa' ? await generate('rsa', { modulusLength: bits }) : await generate('ed25519');
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const handle = await open(file, 'wx', 0o600);
  try {
    await handle.writeFile(pem);
    await handle.sync();
  } finally {
    await handle.close();
  }
  return readPrivateKey(pem);
}
