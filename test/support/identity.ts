import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '@waypost/testkit';

/** Makes a self-signed identity with openssl. @returns its files. */
export async function identity(dir: string, file: string, name: string): Promise<{ cert: string; key: string }> {
  const [cert, key] = [join(dir, `${file}.crt`), join(dir, `${file}.key`)];
  const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`];
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const { code, stderr } = await run('openssl', [...args, '-keyout', key, '-out', cert, ...subject]);
  if (code !== 0) throw new Error(stderr);
  return { cert, key };
}

/** The same, read. */
export async function identityPem(dir: string, file: string, name: string): Promise<{ cert: string; key: string }> {
  const { cert, key } = await identity(dir, file, name);
  return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
}
