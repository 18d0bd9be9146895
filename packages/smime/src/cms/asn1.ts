import * as asn1js from 'asn1js';

/** A piece of ASN.1, decoded or made. */
export type Block = asn1js.AsnType;

/** Object identifiers of CMS and its algorithms (RFC 5652, 3370, 3565, 5083, 5084, 5753, 8017). */
export const OID = {
  data: '1.2.840.113549.1.7.1',
  signedData: '1.2.840.113549.1.7.2',
  envelopedData: '1.2.840.113549.1.7.3',
  authEnvelopedData: '1.2.840.113549.1.9.16.1.23',
  rsa: '1.2.840.113549.1.1.1',
  oaep: '1.2.840.113549.1.1.7',
  mgf1: '1.2.840.113549.1.1.8',
  ecdhSha256: '1.3.132.1.11.1',
  aes256Wrap: '2.16.840.1.101.3.4.1.45',
  aes256Cbc: '2.16.840.1.101.3.4.1.42',
  aes256Gcm: '2.16.840.1.101.3.4.1.46',
} as const;

/** Digests by their identifier. SHA-1 only where an old peer says how a key was wrapped, never in a signature. */
export const DIGESTS: Readonly<Record<string, string>> = {
  '1.3.14.3.2.26': 'sha1',
  '2.16.840.1.101.3.4.2.4': 'sha224',
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};
export const SHA256 = '2.16.840.1.101.3.4.2.1';

export const sequence = (...value: Block[]): Block => new asn1js.Sequence({ value: value as asn1js.BaseBlock[] });
export const set = (...value: Block[]): Block => new asn1js.Set({ value: value as asn1js.BaseBlock[] });
export const oid = (value: string): Block => new asn1js.ObjectIdentifier({ value });
export const integer = (value: number): Block => new asn1js.Integer({ value });
export const nothing = (): Block => new asn1js.Null();
export const octets = (value: Uint8Array): Block => new asn1js.OctetString({ valueHex: exactly(value) });
/** A constructed context tag: EXPLICIT around one block, IMPLICIT for the content of a sequence. */
export const tagged = (tagNumber: number, ...value: Block[]): Block =>
  new asn1js.Constructed({ idBlock: { tagClass: 3, tagNumber }, value: value as asn1js.BaseBlock[] });
/** An IMPLICIT context tag over octets. */
export const taggedOctets = (tagNumber: number, value: Uint8Array): Block =>
  new asn1js.Primitive({ idBlock: { tagClass: 3, tagNumber }, valueHex: exactly(value) });

export const der = (block: Block): Buffer => Buffer.from(block.toBER());

/** What cannot be read as what it claims to be. */
export class CmsError extends Error {}

/** @throws CmsError */
export function decode(bytes: Uint8Array): Block {
  const { offset, result } = asn1js.fromBER(exactly(bytes));
  if (offset === -1) throw new CmsError(`not ASN.1: ${result.error}`);
  return result;
}

/** @returns the blocks within a constructed one. @throws CmsError */
export function children(block: Block | undefined): Block[] {
  const value = (block as { valueBlock?: { value?: unknown } } | undefined)?.valueBlock?.value;
  if (!Array.isArray(value)) throw new CmsError('a structure is missing');
  return value as Block[];
}

/** @returns the text of an object identifier. @throws CmsError */
export function oidOf(block: Block | undefined): string {
  if (!(block instanceof asn1js.ObjectIdentifier)) throw new CmsError('an identifier is missing');
  return block.getValue();
}

/** @returns the context tag of a block; undefined where it has none. */
export function tagOf(block: Block | undefined): number | undefined {
  return block?.idBlock.tagClass === 3 ? block.idBlock.tagNumber : undefined;
}

/** @returns octets, put together where they come in pieces (X.690 §8.7.3). */
export function octetsOf(block: Block | undefined): Buffer {
  const value = block?.valueBlock as { value?: unknown; valueHexView?: Uint8Array } | undefined;
  if (block?.idBlock.isConstructed && Array.isArray(value?.value)) {
    return Buffer.concat((value.value as Block[]).map((piece) => octetsOf(piece)));
  }
  if (!value?.valueHexView) throw new CmsError('octets are missing');
  return Buffer.from(value.valueHexView);
}

/** @returns a block as it was decoded. */
export const rawOf = (block: Block): Buffer => Buffer.from(block.valueBeforeDecodeView);

/** A Buffer may be a view on more than its own octets. */
export function exactly(bytes: Uint8Array): ArrayBuffer {
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
}
