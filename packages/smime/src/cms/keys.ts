import {
  constants,
  createCipheriv,
  createDecipheriv,
  createHash,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
} from 'node:crypto';
import {
  type Block,
  CmsError,
  children,
  DIGESTS,
  decode,
  der,
  integer,
  nothing,
  OID,
  octets,
  octetsOf,
  oid,
  oidOf,
  SHA256,
  sequence,
  tagged,
  tagOf,
} from './asn1.js';

/** Who a wrapped key is for: issuer and serial number, or the key's identifier (RFC 5652 §6.2.1). */
export type RecipientId = Block;

const WRAPS: Readonly<Record<string, { readonly cipher: string; readonly octets: number; readonly iv?: null }>> = {
  // Of older programs (RFC 3217); it has no initial value of its own.
  '1.2.840.113549.1.9.16.3.6': { cipher: 'id-smime-alg-CMS3DESwrap', octets: 24, iv: null },
  '2.16.840.1.101.3.4.1.5': { cipher: 'id-aes128-wrap', octets: 16 },
  '2.16.840.1.101.3.4.1.25': { cipher: 'id-aes192-wrap', octets: 24 },
  [OID.aes256Wrap]: { cipher: 'id-aes256-wrap', octets: 32 },
};
/** Digests of ECDH schemes (RFC 5753 §7.1.4); on curves of cofactor one the cofactor schemes are the same. */
const ECDH: Readonly<Record<string, string>> = {
  '1.3.133.16.840.63.0.2': 'sha1',
  '1.3.133.16.840.63.0.3': 'sha1',
  ...Object.fromEntries(
    ['sha224', 'sha256', 'sha384', 'sha512'].flatMap((digest, at) => [
      [`1.3.132.1.11.${at}`, digest],
      [`1.3.132.1.14.${at}`, digest],
    ]),
  ),
};
/** The initial value of RFC 3394 §2.2.3.1. */
const WRAP_IV = Buffer.alloc(8, 0xa6);

/** Wraps a content key by RSA (RFC 3370 §4.2.1, RFC 3560). @returns a KeyTransRecipientInfo. */
export function wrapByRsa(key: Buffer, publicKey: KeyObject, id: RecipientId, padding: 'oaep' | 'pkcs1'): Block {
  const digest = () => sequence(oid(SHA256), nothing());
  const [algorithm, wrapped] =
    padding === 'oaep'
      ? [
          sequence(oid(OID.oaep), sequence(tagged(0, digest()), tagged(1, sequence(oid(OID.mgf1), digest())))),
          publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }, key),
        ]
      : [
          sequence(oid(OID.rsa), nothing()),
          publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, key),
        ];
  return sequence(integer(0), id, algorithm, octets(wrapped));
}

/** @param info a KeyTransRecipientInfo. @returns the content key. @throws Error */
export function unwrapByRsa(info: Block, privateKey: KeyObject): Buffer {
  const [, , algorithm, wrapped] = children(info);
  const [id, parameters] = children(algorithm);
  const octets = octetsOf(wrapped);
  // Wrong padding gives a random key here, so that nobody learns from the failure (RFC 3218 §2.3.2).
  if (oidOf(id) === OID.rsa) {
    return privateDecrypt({ key: privateKey, padding: constants.RSA_PKCS1_PADDING }, octets);
  }
  if (oidOf(id) !== OID.oaep) throw new CmsError(`keys wrapped by ${oidOf(id)} are not known here`);
  const given = parameters && 'value' in parameters.valueBlock ? children(parameters) : [];
  const [digest] = given.filter((one) => tagOf(one) === 0).flatMap((one) => children(one));
  const oaepHash = digest ? DIGESTS[oidOf(children(digest)[0])] : 'sha1';
  if (!oaepHash) throw new CmsError('the digest of RSA-OAEP is not known here');
  return privateDecrypt({ key: privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, octets);
}

/** Wraps a content key by ephemeral ECDH and AES-256 (RFC 5753 §3.1). @returns a KeyAgreeRecipientInfo, tagged. */
export function wrapByEcdh(key: Buffer, publicKey: KeyObject, id: RecipientId): Block {
  const namedCurve = publicKey.asymmetricKeyDetails?.namedCurve ?? '';
  const ephemeral = generateKeyPairSync('ec', { namedCurve });
  const [spkiAlgorithm, point] = children(decode(ephemeral.publicKey.export({ type: 'spki', format: 'der' })));
  if (!spkiAlgorithm || !point) throw new CmsError('a key cannot be made');
  const wrap = sequence(oid(OID.aes256Wrap));
  const secret = diffieHellman({ privateKey: ephemeral.privateKey, publicKey });
  const kek = deriveKey(secret, 'sha256', wrap, 32, undefined);
  const cipher = createCipheriv('id-aes256-wrap', kek, WRAP_IV);
  const wrapped = Buffer.concat([cipher.update(key), cipher.final()]);
  return tagged(
    1,
    integer(3),
    tagged(0, tagged(1, spkiAlgorithm, point)),
    sequence(oid(OID.ecdhSha256), wrap),
    sequence(sequence(id, octets(wrapped))),
  );
}

/**
 * @param info a KeyAgreeRecipientInfo.
 * @param isOurs tells whether a recipient's identifier is that of the key.
 * @returns the content key. @throws Error
 */
export function unwrapByEcdh(info: Block, privateKey: KeyObject, isOurs: (id: RecipientId) => boolean): Buffer {
  const parts = children(info);
  const [originator] = parts.filter((part) => tagOf(part) === 0).flatMap((part) => children(part));
  const [ukm] = parts.filter((part) => tagOf(part) === 1).flatMap((part) => children(part));
  const [algorithm, keys] = parts.slice(-2);
  const [scheme, wrap] = children(algorithm);
  const digest = ECDH[oidOf(scheme)];
  const { cipher, octets: length, iv = WRAP_IV } = WRAPS[oidOf(children(wrap)[0])] ?? {};
  if (tagOf(originator) !== 1 || !digest || !cipher || !length || !wrap) {
    throw new CmsError('the key agreement is of a kind that is not known here');
  }
  const own = children(keys).find((one) => isOurs(children(one)[0] as Block));
  if (!own) throw new CmsError('the message is not for this key');
  // The originator's curve is that of our key; what it says itself may be absent (RFC 5753 §3.1.1).
  const spki = children(decode(createPublicKey(privateKey).export({ type: 'spki', format: 'der' })));
  const point = children(originator)[1];
  if (!spki[0] || !point) throw new CmsError('the originator gives no key');
  const publicKey = createPublicKey({ key: der(sequence(spki[0], point)), format: 'der', type: 'spki' });
  const kek = deriveKey(diffieHellman({ privateKey, publicKey }), digest, wrap, length, ukm && octetsOf(ukm));
  const decipher = createDecipheriv(cipher, kek, iv);
  return Buffer.concat([decipher.update(octetsOf(children(own)[1])), decipher.final()]);
}

/** X9.63 over ECC-CMS-SharedInfo (RFC 5753 §7.2). */
function deriveKey(secret: Buffer, digest: string, wrap: Block, length: number, ukm: Buffer | undefined): Buffer {
  const bits = Buffer.alloc(4);
  bits.writeUInt32BE(length * 8);
  const info = der(sequence(wrap, ...(ukm ? [tagged(0, octets(ukm))] : []), tagged(2, octets(bits))));
  const blocks: Buffer[] = [];
  const counter = Buffer.alloc(4);
  for (let made = 0, at = 1; made < length; at += 1) {
    counter.writeUInt32BE(at);
    const block = createHash(digest).update(secret).update(counter).update(info).digest();
    blocks.push(block);
    made += block.length;
  }
  return Buffer.concat(blocks).subarray(0, length);
}
