import { createHash, type KeyObject, verify } from 'node:crypto';
import type { FieldSpan } from '@waypost/mail';
import { type HeaderSection, rawField } from '../section.js';
import { spanOfTag } from '../tags.js';
import { type BodyHash, type Canonicalization, canonicalField, hashBody, type Octets } from './canonical.js';
import type { DkimKey } from './key.js';
import type { Signature } from './signature.js';

/** Hashes of one body, each made once, however many signatures need it. */
export interface BodyHashes {
  of(signature: Pick<Signature, 'bodyWay' | 'hash' | 'length'>): Promise<BodyHash>;
}

/** @param open the whole message, opened for each hash, where the section was read from its beginning only. */
export function createBodyHashes({ message, bodyAt }: HeaderSection, open?: () => Promise<Octets>): BodyHashes {
  const made = new Map<string, Promise<BodyHash>>();
  return {
    of({ bodyWay, hash, length }) {
      const key = `${bodyWay} ${hash} ${length ?? ''}`;
      let hashing = made.get(key);
      if (!hashing) {
        const what = { way: bodyWay, algorithm: hash, length };
        hashing = open ? open().then((whole) => hashBody(whole, bodyAt, what)) : hashBody(message, bodyAt, what);
        made.set(key, hashing);
      }
      return hashing;
    },
  };
}

/** @returns whether the signature over the header fields is the key's (RFC 6376 §3.7). */
export function verifiesHeader(section: HeaderSection, signature: Signature, key: DkimKey): boolean {
  const { signed, headerWay, field } = signature;
  const data = signedFields(section, signed).map((one) => canonicalField(rawField(section, one), headerWay));
  data.push(withoutSignature(section, field, headerWay));
  return verifies(data.join(''), signature, key);
}

/** Each name takes the lowest field of that name that is not taken yet; none where there are no more (§5.4.2). */
function signedFields({ byName }: HeaderSection, names: readonly string[]): FieldSpan[] {
  const taken = new Map<string, number>();
  return names.flatMap((name) => {
    const count = (taken.get(name) ?? 0) + 1;
    taken.set(name, count);
    return byName.get(name)?.at(-count) ?? [];
  });
}

/** The signature's own field, canonicalized, without the value of b= and the final line end. */
export function withoutSignature(section: HeaderSection, field: FieldSpan, way: Canonicalization): string {
  const raw = rawField(section, field);
  const colon = raw.indexOf(':') + 1;
  const span = spanOfTag(raw.slice(colon), 'b');
  const bare = span ? raw.slice(0, colon + span.start) + raw.slice(colon + span.end) : raw;
  return canonicalField(bare, way).replace(/\r\n$/, '');
}

/** @param data one character an octet. */
export function verifies(
  data: string,
  { type, hash, signature }: Pick<Signature, 'type' | 'hash' | 'signature'>,
  { key }: { readonly key: KeyObject },
): boolean {
  const octets = Buffer.from(data, 'latin1');
  try {
    if (type === 'rsa') return verify(hash, octets, key, signature);
    // Ed25519 signs the hash (RFC 8463 §3).
    return verify(null, createHash('sha256').update(octets).digest(), key, signature);
  } catch {
    return false;
  }
}
