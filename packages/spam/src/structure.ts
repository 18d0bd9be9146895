import type { MailDefect, ParsedMail } from '@waypost/mime';
import type { SpamInput } from './input.js';
import type { Report, SymbolName } from './symbols.js';

const DEFECTS: Record<MailDefect, readonly [SymbolName, string]> = {
  'no-header-end': ['MIME_NO_HEADER_END', 'there is no empty line after the header'],
  'no-boundary': ['MIME_NO_BOUNDARY', 'a multipart declares no boundary'],
  'boundary-never-used': ['MIME_NO_BOUNDARY', 'a multipart does not use its boundary'],
  'boundary-not-closed': ['MIME_NOT_CLOSED', 'a multipart does not end'],
  'repeated-structure-field': ['MIME_REPEATED_FIELD', 'a part has Content-Type or its like twice'],
  'repeated-parameter': ['MIME_REPEATED_PARAMETER', 'a part has a boundary, name or charset twice'],
  'unknown-encoding': ['MIME_UNKNOWN_ENCODING', 'a transfer encoding that there is not'],
  'encoded-multipart': ['MIME_ENCODED_MULTIPART', 'a multipart is encoded'],
  'too-many-parts': ['MIME_TOO_MANY_PARTS', 'not all parts were looked at'],
  'too-deep': ['MIME_TOO_DEEP', 'not all parts were looked at'],
};

/** Looks for what is odd in the parts of a message (RFC 2045, RFC 2046). */
export function checkStructure({ mail, html }: SpamInput, report: Report): void {
  for (const defect of mail.defects) report(...DEFECTS[defect]);
  if (mail.header('content-type') !== undefined && mail.header('mime-version') === undefined) {
    report('MIME_NO_VERSION', 'Content-Type without MIME-Version');
  }
  const hidden = mail.leaves.find(
    (part) =>
      part.encoding === 'base64' &&
      /^text\/(?:plain|html)$/.test(part.type) &&
      part.filename === undefined &&
      isAscii(part.content()),
  );
  if (hidden) report('MIME_BASE64_ASCII', `${hidden.type} of plain ASCII in base64`);
  checkForms(mail, html.text, report);
}

function checkForms(mail: ParsedMail, shown: string, report: Report): void {
  const hasHtml = mail.leaves.some((part) => part.type === 'text/html' && part.disposition !== 'attachment');
  if (!hasHtml) return;
  const plain = mail.plainText();
  if (plain === '' && !mail.leaves.some((part) => part.type === 'text/plain')) {
    return report('MIME_HTML_ONLY', 'there is no plain form of the text');
  }
  const isAlternative = mail.all.some((part) => part.type === 'multipart/alternative');
  if (isAlternative && shown.trim().length > 400 && plain.trim().length < 30) {
    report('MIME_TEXT_DIFFERS', `${plain.trim().length} characters for ${shown.trim().length} of HTML`);
  }
}

/** Long enough not to be encoded for a word or two. */
const isAscii = (octets: Buffer) => octets.length > 60 && !/[\x80-\xff]/.test(octets.toString('latin1', 0, 65_536));
