import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { SmimeIdentity, SmimeSettings } from '@waypost/config';
import { domainOf, matchDomain } from '@waypost/mail';
import {
  describeCertificate,
  type Identity,
  type KnownCertificate,
  readCertificates,
  toIdentity,
} from './certificates.js';
import { readPkcs12 } from './pkcs12.js';

/** Keys and certificates of a configuration, read. */
export interface Material {
  readonly identities: readonly { readonly settings: SmimeIdentity; readonly identity: Identity }[];
  readonly anchors: readonly Buffer[];
  /** By address in lower case; those that last longest first. */
  readonly known: ReadonlyMap<string, readonly KnownCertificate[]>;
}

/** Certificates that are kept in memory. */
const MOST_KNOWN = 100_000;
const CERTIFICATE_FILE = /\.(?:pem|crt|cer|der)$/i;

/** Reads all that a configuration names. @throws Error that says which file cannot be used. */
export async function loadMaterial({ identities, anchors, certificates }: SmimeSettings): Promise<Material> {
  const files = (await Promise.all(certificates.map(filesAt))).flat();
  const known: KnownCertificate[] = [];
  for (const file of files) {
    const read = await named(file, async () => readCertificates(await readFile(file)).map(describeCertificate));
    known.push(...read.slice(0, MOST_KNOWN - known.length));
  }
  return {
    identities: await Promise.all(identities.map(async (settings) => ({ settings, identity: await load(settings) }))),
    anchors: anchors === '' ? [] : readCertificates(Buffer.from(anchors)),
    known: byAddress(known),
  };
}

function byAddress(list: readonly KnownCertificate[]): Map<string, KnownCertificate[]> {
  const known = new Map<string, KnownCertificate[]>();
  for (const one of list.toSorted((a, b) => b.until.getTime() - a.until.getTime())) {
    for (const email of one.emails) known.set(email, [...(known.get(email) ?? []), one]);
  }
  return known;
}

async function load({ match, certificate, key, pkcs12, passphrase }: SmimeIdentity): Promise<Identity> {
  return named(`smime.identities "${match}"`, async () =>
    pkcs12 === undefined
      ? toIdentity(readCertificates(Buffer.from(certificate ?? '')), key ?? '')
      : readPkcs12(await readFile(pkcs12), passphrase),
  );
}

async function filesAt(path: string): Promise<string[]> {
  return named(path, async () => {
    if (!(await stat(path)).isDirectory()) return [path];
    const names = (await readdir(path)).filter((name) => CERTIFICATE_FILE.test(name)).sort();
    return names.map((name) => join(path, name));
  });
}

async function named<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new Error(`${what}: ${(error as Error).message}`, { cause: error });
  }
}

/** @returns the certificate to encrypt to an address with: of those in their time the one that lasts longest. */
export function certificateFor({ known }: Material, address: string, at = new Date()): KnownCertificate | undefined {
  const fits = ({ from, until }: KnownCertificate) => from <= at && at < until;
  return (known.get(address.toLowerCase()) ?? []).filter(fits)[0];
}

/** @param pattern an address, or a domain as `matchDomain` takes it. */
export function matchesAddress(pattern: string, address: string): boolean {
  if (pattern.includes('@')) return pattern.toLowerCase() === address.toLowerCase();
  return matchDomain(pattern, domainOf(address));
}
