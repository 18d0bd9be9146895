import { createPublicKey, type KeyObject } from 'node:crypto';
import { absenceOf, isAskable, type Resolve } from '../resolve.js';
import { readTags, withoutBlanks } from '../tags.js';

/** A public key as its domain publishes it (RFC 6376 §3.6.1, RFC 8463 §4). */
export interface DkimKey {
  readonly type: 'rsa' | 'ed25519';
  readonly key: KeyObject;
  /** Of an RSA key's modulus; 256 for Ed25519. */
  readonly bits: number;
  /** Hash algorithms that may be used with it; any where undefined. */
  readonly hashes: readonly string[] | undefined;
  /** The i= domain must be the d= domain itself (t=s). */
  readonly exact: boolean;
  /** The domain only tries DKIM (t=y). */
  readonly testing: boolean;
}

/** `none`: no such record; `bad`: none that can be used; `temporary`: DNS failed. */
export type KeyAnswer =
  | { readonly kind: 'key'; readonly key: DkimKey }
  | { readonly kind: 'none' | 'bad' | 'temporary'; readonly why: string };

/** Longest text of a key record that is read: RSA of 16,384 bits has 2,800. */
const LONGEST = 8_192;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;
const ED25519_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const ED25519_OCTETS = 32;

/** @param text a TXT record. */
export function readKey(text: string): KeyAnswer {
  const bad = (why: string): KeyAnswer => ({ kind: 'bad', why });
  if (text.length > LONGEST) return bad('key record too long');
  const tags = readTags(text);
  if ('wrong' in tags) return bad(`key record: ${tags.wrong}`);
  if (tags.has('v') && (tags.get('v') !== 'DKIM1' || tags.keys().next().value !== 'v'))
    return bad('unknown key version');
  const services = listOf(tags.get('s'));
  if (services && !services.includes('email') && !services.includes('*')) return bad('key not for email');
  const type = tags.get('k') ?? 'rsa';
  if (type !== 'rsa' && type !== 'ed25519') return bad('unknown key type');
  const data = tags.get('p');
  if (data === undefined) return bad('key record without p=');
  const encoded = withoutBlanks(data);
  if (encoded === '') return bad('key revoked');
  if (!BASE64.test(encoded)) return bad('invalid public key');
  const key = importKey(type, Buffer.from(encoded, 'base64'));
  if (!key) return bad('invalid public key');
  const flags = listOf(tags.get('t')) ?? [];
  const bits = type === 'rsa' ? (key.asymmetricKeyDetails?.modulusLength ?? 0) : 256;
  const about = { type, key, bits, hashes: listOf(tags.get('h')) } as const;
  return { kind: 'key', key: { ...about, exact: flags.includes('s'), testing: flags.includes('y') } };
}

/** RSA keys stand as SubjectPublicKeyInfo, and as the bare RSAPublicKey that RFC 6376 names; Ed25519 as bare octets. */
function importKey(type: 'rsa' | 'ed25519', der: Buffer): KeyObject | undefined {
  if (type === 'ed25519') {
    if (der.length !== ED25519_OCTETS) return undefined;
    return imported(Buffer.concat([ED25519_PREFIX, der]), 'spki', type);
  }
  return imported(der, 'spki', type) ?? imported(der, 'pkcs1', type);
}

function imported(key: Buffer, form: 'spki' | 'pkcs1', type: string): KeyObject | undefined {
  try {
    const object = createPublicKey({ key, format: 'der', type: form });
    return object.asymmetricKeyType === type ? object : undefined;
  } catch {
    return undefined;
  }
}

function listOf(value: string | undefined): string[] | undefined {
  return value?.split(':').map((entry) => withoutBlanks(entry).toLowerCase());
}

/** Keys by the text of their record: to read one costs more than to verify with it. */
export interface KeyCache {
  read(text: string): KeyAnswer;
}

/** @param size keys kept at most; the least recently used goes first. */
export function createKeyCache(size = 2_000): KeyCache {
  const keys = new Map<string, KeyAnswer>();
  return {
    read(text) {
      const known = keys.get(text);
      if (known) keys.delete(text);
      const answer = known ?? readKey(text);
      // Long texts are no keys, and not worth their room.
      if (text.length <= LONGEST) keys.set(text, answer);
      for (const oldest of keys.keys()) {
        if (keys.size <= size) break;
        keys.delete(oldest);
      }
      return answer;
    },
  };
}

/** @returns the key of a selector; of several records the first that has one (RFC 6376 §3.6.2.2 leaves it open). */
export async function findKey(
  domain: string,
  selector: string,
  { resolve, keys }: { readonly resolve: Resolve; readonly keys: KeyCache },
): Promise<KeyAnswer> {
  const name = `${selector}._domainkey.${domain}`;
  if (!isAskable(name)) return { kind: 'none', why: 'no key' };
  let texts: readonly string[];
  try {
    texts = await resolve(name, 'TXT');
  } catch (error) {
    return absenceOf(error) === 'temporary'
      ? { kind: 'temporary', why: 'key not to be had for now' }
      : { kind: 'none', why: 'no key' };
  }
  const answers = texts.slice(0, MOST_RECORDS).map((text) => keys.read(text));
  return answers.find(({ kind }) => kind === 'key') ?? answers[0] ?? { kind: 'none', why: 'no key' };
}

const MOST_RECORDS = 4;
