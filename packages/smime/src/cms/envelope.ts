import { createCipheriv, createDecipheriv, createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { Certificate } from 'pkijs';
import {
  type Block,
  CmsError,
  children,
  decode,
  der,
  exactly,
  integer,
  OID,
  octets,
  octetsOf,
  oid,
  oidOf,
  rawOf,
  sequence,
  set,
  tagged,
  taggedOctets,
  tagOf,
} from './asn1.js';
import { unwrapByEcdh, unwrapByRsa, wrapByEcdh, wrapByRsa } from './keys.js';

export interface EnvelopeOptions {
  /** `aes-256-gcm` makes AuthEnvelopedData (RFC 5083), which tells tampering but is not read by older programs. */
  readonly cipher: 'aes-256-cbc' | 'aes-256-gcm';
  /** How the content key is wrapped for RSA keys. */
  readonly rsa: 'oaep' | 'pkcs1';
}

/**
 * Encrypts content to the holders of certificates (RFC 5652 §6, RFC 5083).
 * @param certificates DER, at least one.
 * @returns a ContentInfo in DER. @throws Error for a certificate whose key cannot be encrypted to.
 */
export function encrypt(content: Buffer, certificates: readonly Buffer[], options: EnvelopeOptions): Buffer {
  const gcm = options.cipher === 'aes-256-gcm';
  const key = randomBytes(32);
  const iv = randomBytes(gcm ? 12 : 16);
  const { encrypted, mac } = encipher(content, key, iv, gcm);
  const parameters = gcm ? sequence(octets(iv), integer(TAG)) : octets(iv);
  const algorithm = sequence(oid(gcm ? OID.aes256Gcm : OID.aes256Cbc), parameters);
  const info = sequence(oid(OID.data), algorithm, taggedOctets(0, encrypted));
  const recipients = set(...certificates.map((one) => recipientInfo(key, one, options.rsa)));
  // Key agreement makes version 2 of it (RFC 5652 §6.1).
  const version = gcm || !certificates.some(isEc) ? 0 : 2;
  const data = sequence(integer(version), recipients, info, ...mac);
  return der(sequence(oid(gcm ? OID.authEnvelopedData : OID.envelopedData), tagged(0, data)));
}

function encipher(content: Buffer, key: Buffer, iv: Buffer, gcm: boolean): { encrypted: Buffer; mac: Block[] } {
  if (!gcm) {
    const cipher = createCipheriv('aes-256-cbc', key, iv);
    return { encrypted: Buffer.concat([cipher.update(content), cipher.final()]), mac: [] };
  }
  const cipher = createCipheriv('aes-256-gcm', key, iv);
  const encrypted = Buffer.concat([cipher.update(content), cipher.final()]);
  return { encrypted, mac: [octets(cipher.getAuthTag())] };
}

/** Octets of a GCM tag. */
const TAG = 16;

const isEc = (certificate: Buffer) => new X509Certificate(certificate).publicKey.asymmetricKeyType === 'ec';

function recipientInfo(key: Buffer, certificate: Buffer, padding: 'oaep' | 'pkcs1'): Block {
  const { publicKey } = new X509Certificate(certificate);
  const { issuer, serialNumber } = Certificate.fromBER(exactly(certificate));
  const id = sequence(issuer.toSchema() as Block, serialNumber);
  const type = publicKey.asymmetricKeyType;
  if (type === 'rsa') return wrapByRsa(key, publicKey, id, padding);
  if (type === 'ec') return wrapByEcdh(key, publicKey, id);
  throw new CmsError(`a certificate with a key of type ${type} cannot be encrypted to`);
}

/** A certificate and its key, in PEM and DER. */
export interface Opener {
  readonly certificate: Buffer;
  readonly key: string;
}

const CIPHERS: Readonly<Record<string, string>> = {
  '1.2.840.113549.3.7': 'des-ede3-cbc',
  '2.16.840.1.101.3.4.1.2': 'aes-128-cbc',
  '2.16.840.1.101.3.4.1.22': 'aes-192-cbc',
  [OID.aes256Cbc]: 'aes-256-cbc',
  '2.16.840.1.101.3.4.1.6': 'aes-128-gcm',
  '2.16.840.1.101.3.4.1.26': 'aes-192-gcm',
  [OID.aes256Gcm]: 'aes-256-gcm',
};

/**
 * Decrypts what `encrypt` and others make, with whichever key it is for.
 * @param message a ContentInfo, BER or DER.
 * @returns the content and which key opened it. @throws CmsError where no key fits, and Error where it cannot be decrypted.
 */
export function decrypt(message: Buffer, openers: readonly Opener[]): { content: Buffer; opener: number } {
  const [type, wrapped] = children(decode(message));
  const kind = oidOf(type);
  if (kind !== OID.envelopedData && kind !== OID.authEnvelopedData) throw new CmsError('this is not encrypted');
  // Originator certificates, which nothing here needs, have tag 0.
  const parts = children(children(wrapped)[0]).filter((part, at) => at > 0 && tagOf(part) !== 0);
  const [recipients, info, ...rest] = parts;
  for (const [at, opener] of openers.entries()) {
    const key = contentKey(children(recipients), opener);
    if (!key) continue;
    return { content: decipher(info, key, kind === OID.authEnvelopedData ? rest : undefined), opener: at };
  }
  throw new CmsError('the message is for none of the keys that are here');
}

function contentKey(recipients: readonly Block[], { certificate, key }: Opener): Buffer | undefined {
  const { issuer, serialNumber, extensions } = Certificate.fromBER(exactly(certificate));
  const own = der(sequence(issuer.toSchema() as Block, serialNumber));
  const keyId = extensions?.find(({ extnID }) => extnID === SUBJECT_KEY_ID)?.extnValue;
  const ownKeyId = keyId && octetsOf(decode(Buffer.from(keyId.valueBlock.valueHexView)));
  const isOurs = (id: Block) => {
    if (tagOf(id) !== 0) return rawOf(id).equals(own);
    // Bare for a transported key; within a sequence for an agreed one (RFC 5652 §6.2.2).
    const bytes = id.idBlock.isConstructed ? octetsOf(children(id)[0]) : octetsOf(id);
    return ownKeyId?.equals(bytes) === true;
  };
  for (const info of recipients) {
    if (tagOf(info) === undefined && isOurs(children(info)[1] as Block))
      return unwrapByRsa(info, createPrivateKey(key));
    if (tagOf(info) !== 1) continue;
    const keys = children(children(info).at(-1));
    if (keys.some((one) => isOurs(children(one)[0] as Block))) return unwrapByEcdh(info, createPrivateKey(key), isOurs);
  }
  return undefined;
}

const SUBJECT_KEY_ID = '2.5.29.14';

/** @param rest of AuthEnvelopedData: attributes that are authenticated, and the tag. */
function decipher(info: Block | undefined, key: Buffer, rest: readonly Block[] | undefined): Buffer {
  const [, algorithm, content] = children(info);
  const [id, parameters] = children(algorithm);
  const name = CIPHERS[oidOf(id)];
  if (!name) throw new CmsError(`content encrypted by ${oidOf(id)} is not known here`);
  if (name.endsWith('gcm') !== (rest !== undefined)) throw new CmsError(`${name} does not belong in this structure`);
  const encrypted = octetsOf(content);
  if (!rest) {
    const cipher = createDecipheriv(name, key, octetsOf(parameters));
    return Buffer.concat([cipher.update(encrypted), cipher.final()]);
  }
  const [nonce] = children(parameters);
  const mac = rest.find((part) => tagOf(part) === undefined);
  const attributes = rest.find((part) => tagOf(part) === 1);
  const tag = octetsOf(mac);
  // A short tag could be guessed.
  if (tag.length < 12) throw new CmsError('the tag of the message is too short');
  const cipher = createDecipheriv(name as 'aes-256-gcm', key, octetsOf(nonce), { authTagLength: tag.length });
  cipher.setAuthTag(tag);
  if (attributes) {
    const aad = rawOf(attributes);
    // They are authenticated as the set they are (RFC 5083 §2.2).
    aad[0] = 0x31;
    cipher.setAAD(aad);
  }
  return Buffer.concat([cipher.update(encrypted), cipher.final()]);
}
