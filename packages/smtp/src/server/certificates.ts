import { X509Certificate } from 'node:crypto';
import { existsSync, type FSWatcher, mkdirSync, readFileSync, watch, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { SecureContextOptions } from 'node:tls';
import { generate } from 'selfsigned';

/** A certificate and its key as files; `servername` is what SNI asks for, else the default. */
export interface TlsIdentity {
  readonly cert: string;
  readonly key: string;
  readonly servername?: string | undefined;
}

export interface LoadedIdentities {
  readonly default: SecureContextOptions;
  readonly bySni: ReadonlyMap<string, SecureContextOptions>;
}

const SETTLE = 200;

/** @throws where a file cannot be read. */
export function loadIdentities(
  identities: readonly TlsIdentity[],
  minVersion: 'TLSv1.2' | 'TLSv1.3',
): LoadedIdentities {
  const load = ({ cert, key }: TlsIdentity): SecureContextOptions => ({
    cert: readFileSync(cert),
    key: readFileSync(key),
    minVersion,
    honorCipherOrder: true,
  });
  const [first] = identities;
  if (!first) throw new Error('no TLS identity is configured');
  const bySni = identities.flatMap((one) =>
    one.servername ? [[one.servername.toLowerCase(), load(one)] as const] : [],
  );
  return { default: load(first), bySni: new Map(bySni) };
}

/** @returns when the certificate of an identity ends, ms since the epoch. @throws where it cannot be read. */
export function certificateEnd({ cert }: TlsIdentity): number {
  return new X509Certificate(readFileSync(cert)).validToDate.getTime();
}

/** Calls back when a file of an identity was replaced. @returns how to stop. */
export function watchIdentities(identities: readonly TlsIdentity[], onChange: () => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  const folders = new Set(identities.flatMap(({ cert, key }) => [dirname(cert), dirname(key)]));
  const watchers: FSWatcher[] = [...folders].map((folder) => {
    const watcher = watch(folder, () => {
      clearTimeout(timer);
      timer = setTimeout(onChange, SETTLE);
    });
    return watcher.unref();
  });
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };
}

/**
 * Makes a self-signed identity for development where there is none yet.
 * @returns its files; the key is readable by the owner alone.
 */
export async function selfSignedIdentity(dir: string, hostname: string): Promise<TlsIdentity> {
  const identity = { cert: join(dir, 'self-signed.crt'), key: join(dir, 'self-signed.key') };
  if (existsSync(identity.cert) && existsSync(identity.key)) return identity;
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const made = await generate([{ name: 'commonName', value: hostname }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notAfterDate: new Date(Date.now() + 10 * 365 * 86_400_000),
    extensions: [
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: hostname },
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
        ],
      },
    ],
  } as Parameters<typeof generate>[1]);
  writeFileSync(identity.key, made.private, { mode: 0o600 });
  writeFileSync(identity.cert, made.cert);
  return identity;
}
