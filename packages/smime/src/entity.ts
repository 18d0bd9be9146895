import { randomBytes } from 'node:crypto';
import { headerEnd, headerFields, isSevenBit } from '@waypost/mail';
import type { MailPart } from '@waypost/mime';

const CRLF = '\r\n';
const LINE = 76;

/** A message as S/MIME sees it: what is said about it, and what is signed or encrypted (RFC 8551 §3.1). */
export interface Entity {
  /** Fields that stay outside, each ended by CRLF. */
  readonly outer: Buffer;
  /** The Content fields, an empty line and the body. */
  readonly inner: Buffer;
}

const isInner = (name: string) => name.startsWith('content-');
const isOuter = (name: string) => !isInner(name) && name !== 'mime-version';

/** Parts a message; a MIME-Version goes, as a new one is put in. */
export function toEntity(message: Buffer): Entity {
  const { header, body } = halves(message);
  return {
    outer: fieldsOf(header, isOuter),
    inner: Buffer.concat([fieldsOf(header, isInner), Buffer.from(CRLF), body]),
  };
}

/** The message with another entity in it, of which only the Content fields are taken over: the rest was not asked about. */
export function withEntity(message: Buffer, entity: Buffer): Buffer {
  const { header } = halves(message);
  const inside = halves(entity);
  const fields = fieldsOf(inside.header, isInner);
  return Buffer.concat([
    fieldsOf(header, isOuter),
    Buffer.from(`MIME-Version: 1.0${CRLF}`),
    fields,
    Buffer.from(CRLF),
    inside.body,
  ]);
}

function halves(message: Buffer): { header: Buffer; body: Buffer } {
  const end = headerEnd(message);
  if (end < 0) return { header: message, body: Buffer.alloc(0) };
  return { header: message.subarray(0, end), body: message.subarray(end) };
}

function fieldsOf(header: Buffer, wanted: (name: string) => boolean): Buffer {
  const fields = headerFields(header, header.length).filter(({ name }) => wanted(name));
  const list = fields.map(({ start, end }) => header.subarray(start, end));
  // A header section that ends without a line end.
  const last = list.at(-1);
  if (last && last[last.length - 1] !== 0x0a) list.push(Buffer.from(CRLF));
  return Buffer.concat(list);
}

/** multipart/signed (RFC 8551 §3.5.3): everyone can read it. @param signature a ContentInfo. */
export function clearSigned({ outer, inner }: Entity, signature: Buffer): Buffer {
  const boundary = `waypost-${randomBytes(18).toString('base64url')}`;
  return Buffer.concat([
    outer,
    Buffer.from(
      [
        'MIME-Version: 1.0',
        'Content-Type: multipart/signed; protocol="application/pkcs7-signature";',
        `\tmicalg=sha-256; boundary="${boundary}"`,
        // Of the parts, which are not encoded anew (RFC 2045 §6.4).
        ...(isSevenBit(inner) ? [] : ['Content-Transfer-Encoding: 8bit']),
        '',
        'This is a signed message.',
        `--${boundary}${CRLF}`,
      ].join(CRLF),
    ),
    inner,
    Buffer.from(
      [
        '',
        `--${boundary}`,
        'Content-Type: application/pkcs7-signature; name="smime.p7s"',
        'Content-Transfer-Encoding: base64',
        'Content-Disposition: attachment; filename="smime.p7s"',
        '',
        `${base64(signature)}--${boundary}--${CRLF}`,
      ].join(CRLF),
    ),
  ]);
}

/** application/pkcs7-mime (RFC 8551 §3.2). */
export function sealed(
  { outer }: Pick<Entity, 'outer'>,
  content: Buffer,
  type: 'signed-data' | 'enveloped-data' | 'authEnveloped-data',
): Buffer {
  const head = [
    'MIME-Version: 1.0',
    `Content-Type: application/pkcs7-mime; smime-type=${type}; name="smime.p7m"`,
    'Content-Transfer-Encoding: base64',
    'Content-Disposition: attachment; filename="smime.p7m"',
    '',
    '',
  ];
  return Buffer.concat([outer, Buffer.from(head.join(CRLF)), Buffer.from(base64(content))]);
}

function base64(bytes: Buffer): string {
  return bytes.toString('base64').replace(new RegExp(`.{1,${LINE}}`, 'g'), `$&${CRLF}`);
}

/** What a message is to S/MIME. */
export type Secured =
  | { readonly kind: 'clear-signed'; readonly content: Buffer; readonly cms: Buffer }
  | { readonly kind: 'signed'; readonly cms: Buffer }
  | { readonly kind: 'encrypted'; readonly cms: Buffer };

/** @returns undefined for a message that is none (RFC 8551 §3.9). */
export function securedOf(mail: MailPart): Secured | undefined {
  const isCms = /^application\/(?:x-)?pkcs7-mime$/;
  if (mail.type === 'multipart/signed') {
    const [content, signature] = mail.parts;
    if (!content || !signature || !/^application\/(?:x-)?pkcs7-signature$/.test(signature.type)) return undefined;
    return { kind: 'clear-signed', content: content.whole, cms: signature.content() };
  }
  const name = mail.filename ?? '';
  if (!isCms.test(mail.type) && !(mail.type === 'application/octet-stream' && /\.p7m$/i.test(name))) return undefined;
  const said = mail.parameters.get('smime-type')?.toLowerCase();
  const cms = mail.content();
  if (said === 'certs-only' || said === 'compressed-data') return undefined;
  // What it is stands in its content type, whatever it says it is.
  return { kind: isSignedData(cms) ? 'signed' : 'encrypted', cms };
}

const SIGNED_DATA = Buffer.from('06092a864886f70d010702', 'hex');

const isSignedData = (cms: Buffer) => cms.subarray(0, 32).includes(SIGNED_DATA);
