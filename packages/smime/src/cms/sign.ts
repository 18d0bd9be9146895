import { createPrivateKey, type KeyObject, webcrypto } from 'node:crypto';
import * as asn1js from 'asn1js';
import {
  Attribute,
  Certificate,
  ContentInfo,
  EncapsulatedContentInfo,
  getCrypto,
  IssuerAndSerialNumber,
  SignedAndUnsignedAttributes,
  SignedData,
  SignerInfo,
} from 'pkijs';
import { CmsError, exactly } from './asn1.js';

export interface Signer {
  /** The signer's certificate first, then those between it and an anchor; DER. */
  readonly certificates: readonly Buffer[];
  /** PEM. */
  readonly key: string;
}

const DIGEST = 'SHA-256';
const ATTRIBUTE = {
  contentType: '1.2.840.113549.1.9.3',
  messageDigest: '1.2.840.113549.1.9.4',
  signingTime: '1.2.840.113549.1.9.5',
} as const;

/**
 * Signs content (RFC 5652 §5) with SHA-256.
 * @param detached leaves the content out of what is returned.
 * @param at the signing time.
 * @returns a ContentInfo in DER. @throws CmsError for a key that cannot sign.
 */
export async function sign(
  content: Buffer,
  { certificates, key }: Signer,
  detached: boolean,
  at = new Date(),
): Promise<Buffer> {
  const chain = certificates.map((one) => Certificate.fromBER(exactly(one)));
  const [own] = chain;
  if (!own) throw new CmsError('there is no certificate to sign with');
  const data = exactly(content);
  const digest = await webcrypto.subtle.digest(DIGEST, data);
  const { issuer, serialNumber } = own;
  // In the order of a DER set, as the digest of them is over that.
  const attributes = [
    new Attribute({
      type: ATTRIBUTE.contentType,
      values: [new asn1js.ObjectIdentifier({ value: SignedData.ID_DATA })],
    }),
    new Attribute({ type: ATTRIBUTE.signingTime, values: [new asn1js.UTCTime({ valueDate: at })] }),
    new Attribute({ type: ATTRIBUTE.messageDigest, values: [new asn1js.OctetString({ valueHex: digest })] }),
  ];
  const signed = new SignedData({
    version: 1,
    encapContentInfo: new EncapsulatedContentInfo({
      eContentType: SignedData.ID_DATA,
      ...(detached ? {} : { eContent: new asn1js.OctetString({ valueHex: data }) }),
    }),
    signerInfos: [
      new SignerInfo({
        version: 1,
        sid: new IssuerAndSerialNumber({ issuer, serialNumber }),
        signedAttrs: new SignedAndUnsignedAttributes({ type: 0, attributes }),
      }),
    ],
    certificates: chain,
  });
  await signed.sign(await toCryptoKey(createPrivateKey(key)), 0, DIGEST, data, getCrypto(true));
  const info = new ContentInfo({ contentType: ContentInfo.SIGNED_DATA, content: signed.toSchema(true) });
  return Buffer.from(info.toSchema().toBER());
}

const CURVES: Readonly<Record<string, string>> = { prime256v1: 'P-256', secp384r1: 'P-384', secp521r1: 'P-521' };

async function toCryptoKey(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const pkcs8 = key.export({ type: 'pkcs8', format: 'der' });
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  const namedCurve = CURVES[details?.namedCurve ?? ''];
  const algorithm =
    type === 'rsa'
      ? { name: 'RSASSA-PKCS1-v1_5', hash: DIGEST }
      : type === 'ec' && namedCurve
        ? { name: 'ECDSA', namedCurve }
        : undefined;
  if (!algorithm) throw new CmsError(`a key of type ${type} cannot sign S/MIME here`);
  return webcrypto.subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign']);
}
