import { X509Certificate } from 'node:crypto';
import { Certificate, ContentInfo, SignedData, SignedDataVerifyError } from 'pkijs';
import { CmsError, DIGESTS, exactly, octetsOf } from './asn1.js';

/** What came of a signature (RFC 7281 §3.1, where it says the same). */
export interface Verified {
  /**
   * `pass`: signature and certificate are good. `policy`: the signature is, but we do not take it: the certificate leads to
   * no anchor of ours, is not for mail or of another address, or the digest is weak. `fail`: the content or signature was
   * changed. `permerror`: it cannot be read.
   */
  readonly result: 'pass' | 'policy' | 'fail' | 'permerror';
  readonly reason: string;
  /** Of the signer's certificate, DER. */
  readonly certificate?: Buffer;
  /** Addresses that the certificate is for. */
  readonly emails: readonly string[];
  readonly issuer?: string;
  /** Hexadecimal. */
  readonly serial?: string;
  /** Of an opaque signature: what is signed. */
  readonly content?: Buffer;
}

export interface VerifyOptions {
  /** Trust anchors, DER. */
  readonly anchors: readonly Buffer[];
  /** The address in From, which the certificate has to be for (RFC 8550 §3). */
  readonly from: string;
  readonly at?: Date;
}

/** More signers than any message has. */
const MOST_SIGNERS = 8;
const EMAIL_PROTECTION = '1.3.6.1.5.5.7.3.4';
const ANY_USE = '2.5.29.37.0';

/**
 * Verifies a signed message (RFC 5652 §5.4, RFC 8550 §4) by its first signer; never throws over what the message holds.
 * @param message a ContentInfo, BER or DER.
 * @param detached the content where the message does not hold it.
 */
export async function verify(message: Buffer, detached: Buffer | undefined, options: VerifyOptions): Promise<Verified> {
  try {
    const info = ContentInfo.fromBER(exactly(message));
    if (info.contentType !== ContentInfo.SIGNED_DATA) throw new CmsError('this is not signed');
    const signed = new SignedData({ schema: info.content });
    if (signed.signerInfos.length === 0) throw new CmsError('it has no signer');
    if (signed.signerInfos.length > MOST_SIGNERS) throw new CmsError(`it has ${signed.signerInfos.length} signers`);
    const { eContent } = signed.encapContentInfo;
    const content = detached ?? (eContent ? octetsOf(eContent) : undefined);
    if (!content) throw new CmsError('it holds nothing that is signed');
    const verified = await judge(signed, content, options);
    return detached ? verified : { ...verified, content };
  } catch (error) {
    return { result: 'permerror', reason: (error as Error).message, emails: [] };
  }
}

async function judge(signed: SignedData, content: Buffer, { anchors, from, at }: VerifyOptions): Promise<Verified> {
  const data = exactly(content);
  const signature = await attempt(signed, { data, checkChain: false });
  const signer = signature.certificate;
  const about = signer ? describe(signer) : { emails: [] };
  if (!signature.good) return { result: 'fail', reason: signature.reason, ...about };
  if (!signer) return { result: 'permerror', reason: 'it does not bring its certificate', emails: [] };
  const digest = signed.signerInfos[0]?.digestAlgorithm.algorithmId ?? '';
  const name = DIGESTS[digest];
  if (!name || name === 'sha1')
    return { result: 'policy', reason: `the digest ${name ?? digest} is not taken`, ...about };
  const trustedCerts = anchors.map((one) => Certificate.fromBER(exactly(one)));
  const chain = await attempt(signed, { data, checkChain: true, trustedCerts, checkDate: at ?? new Date() });
  if (!chain.good) return { result: 'policy', reason: `no good chain to a trust anchor: ${chain.reason}`, ...about };
  const use = new X509Certificate(signer).keyUsage as string[] | undefined;
  if (use && !use.includes(EMAIL_PROTECTION) && !use.includes(ANY_USE)) {
    return { result: 'policy', reason: 'the certificate is not for mail', ...about };
  }
  if (!about.emails.some((email) => email.toLowerCase() === from.toLowerCase())) {
    return { result: 'policy', reason: 'the certificate is for another address', ...about };
  }
  return { result: 'pass', reason: '', ...about };
}

interface Attempt {
  readonly good: boolean;
  readonly reason: string;
  readonly certificate: Buffer | undefined;
}

async function attempt(
  signed: SignedData,
  parameters: { data: ArrayBuffer; checkChain: boolean; trustedCerts?: Certificate[]; checkDate?: Date },
): Promise<Attempt> {
  const der = (certificate: Certificate | null | undefined) =>
    certificate ? Buffer.from(certificate.toSchema().toBER()) : undefined;
  try {
    // Nobody sends revocation lists along: whether a certificate was revoked is not looked at.
    const given = { ...parameters, signer: 0, extendedMode: true as const, passedWhenNotRevValues: true };
    const found = await signed.verify(given);
    const good =
      found.signatureVerified === true && (!parameters.checkChain || found.signerCertificateVerified === true);
    return {
      good,
      reason: good ? '' : found.message || 'the signature does not fit',
      certificate: der(found.signerCertificate),
    };
  } catch (error) {
    const { signerCertificate, message } = error as SignedDataVerifyError;
    const certificate = error instanceof SignedDataVerifyError ? der(signerCertificate) : undefined;
    return { good: false, reason: message || 'the signature does not fit', certificate };
  }
}

function describe(certificate: Buffer): Pick<Verified, 'certificate' | 'emails' | 'issuer' | 'serial'> {
  const { issuer, serialNumber } = new X509Certificate(certificate);
  return { certificate, emails: emailsOf(certificate), issuer: issuer.replaceAll('\n', ', '), serial: serialNumber };
}

/** @returns the addresses that a certificate is for: of its subjectAltName, else of its subject (RFC 8550 §3). */
export function emailsOf(certificate: Buffer): string[] {
  const { subjectAltName = '', subject } = new X509Certificate(certificate);
  const alternative = [...subjectAltName.matchAll(/(?:^|, )email:([^,\s]+)/g)].map(([, email = '']) => email);
  if (alternative.length > 0) return alternative;
  return [...subject.matchAll(/^emailAddress=(\S+)$/gm)].map(([, email = '']) => email);
}
