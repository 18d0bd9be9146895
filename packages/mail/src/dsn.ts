import { isInternational } from './address.js';
import { dsnText, SUBJECTS } from './dsn-text.js';
import type { DsnAction, DsnInput, DsnRecipient } from './dsn-types.js';
import { headerEnd, isSevenBit } from './headers.js';
import { formatDate } from './received.js';
import { formatReply, statusOf } from './reply.js';
import { encodeUtf8Address, splitOrcpt } from './xtext.js';

/** Octets of a message that a DSN returns at most; larger ones come back as their header section. */
export const RETURN_LIMIT = 65_536;

/**
 * Chooses what a DSN returns (RFC 3461 §4.3, §6.3): the whole message only for a failure with RET=FULL, where it is
 * small enough, else its header section, itself cut at a line within the limit.
 */
export function returnedPart(
  message: Buffer,
  action: DsnAction,
  ret?: 'FULL' | 'HDRS',
): Pick<DsnInput, 'returned' | 'headersOnly'> {
  if (action === 'failed' && ret === 'FULL' && message.length <= RETURN_LIMIT) {
    return { returned: message, headersOnly: false };
  }
  const end = headerEnd(message);
  let headers = message.subarray(0, end < 0 ? message.length : end);
  if (headers.length > RETURN_LIMIT) {
    headers = headers.subarray(0, headers.lastIndexOf('\n', RETURN_LIMIT - 1) + 1);
  }
  return { returned: headers, headersOnly: true };
}

/**
 * Builds a delivery status notification: multipart/report with a text for people, a status for programs and what is
 * returned of the message (RFC 3461 §6, RFC 3464, RFC 6522). Where the sender's address is ASCII all header fields and
 * the status are so too, so that it needs no SMTPUTF8; else it takes the forms of RFC 6533.
 * @returns the whole message; its reverse-path must be null, and its body is 8BITMIME unless isSevenBit.
 */
export function buildDsn(input: DsnInput): Buffer {
  const boundary = `=_${input.id}`;
  const unicode = isInternational(input.original.sender);
  const text = Buffer.from(dsnText(input).join('\r\n'));
  const returned = returnedBody(input, unicode);
  const statusType = unicode ? 'message/global-delivery-status' : 'message/delivery-status';
  const head = [
    ...headerSection(input, boundary),
    'This is a delivery report in MIME format.',
    '',
    `--${boundary}`,
    'Content-Description: Notification',
    `Content-Type: text/plain; charset=${isSevenBit(text) ? 'us-ascii' : 'utf-8'}`,
    ...encodingField(text),
    '',
    '',
  ].join('\r\n');
  const status = Buffer.from([...statusFields(input, unicode), ''].join('\r\n'));
  const middle = [
    '',
    `--${boundary}`,
    'Content-Description: Delivery report',
    `Content-Type: ${statusType}`,
    ...encodingField(status),
    '',
    '',
  ].join('\r\n');
  const last = [
    `--${boundary}`,
    `Content-Description: ${input.headersOnly ? 'Header of the message' : 'The message'}`,
    ...returned.fields,
    '',
    '',
  ].join('\r\n');
  const gap = returned.body.length === 0 || returned.body.at(-1) === 0x0a ? '' : '\r\n';
  return Buffer.concat([
    Buffer.from(head),
    text,
    Buffer.from(middle),
    status,
    Buffer.from(last),
    returned.body,
    Buffer.from(`${gap}\r\n--${boundary}--\r\n`),
  ]);
}

function headerSection(input: DsnInput, boundary: string): string[] {
  const { original, reportingMta } = input;
  const action = leadingAction(input.recipients);
  const about = /^<[\x21-\x3b\x3d\x3f-\x7e]{1,250}>$/.test(original.messageId ?? '') ? original.messageId : undefined;
  return [
    `From: Mail Delivery System <${input.from ?? `MAILER-DAEMON@${reportingMta}`}>`,
    `To: <${original.sender}>`,
    `Subject: ${SUBJECTS[action]}`,
    `Date: ${formatDate(input.date)}`,
    `Message-ID: <${input.id}@${reportingMta}>`,
    ...(about ? [`In-Reply-To: ${about}`, `References: ${about}`] : []),
    'Auto-Submitted: auto-replied',
    'MIME-Version: 1.0',
    `Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="${boundary}"`,
    '',
  ];
}

/** @returns what the DSN as a whole is about: the worst of it. */
export function leadingAction(recipients: readonly DsnRecipient[]): DsnAction {
  const actions = recipients.map((recipient) => recipient.action);
  return (
    (['failed', 'delayed', 'relayed', 'delivered'] as const).find((action) => actions.includes(action)) ?? 'failed'
  );
}

const encodingField = (body: Buffer) => (isSevenBit(body) ? [] : ['Content-Transfer-Encoding: 8bit']);

/**
 * message/rfc822 may not be encoded, message/global may (RFC 6532 §3.7): so an international original passes ASCII
 * hops.
 */
function returnedBody(input: DsnInput, unicode: boolean): { readonly fields: string[]; readonly body: Buffer } {
  const { returned, headersOnly, smtputf8 = unicode } = input;
  if (!smtputf8) {
    const type = headersOnly ? 'text/rfc822-headers' : 'message/rfc822';
    return { fields: [`Content-Type: ${type}`, ...encodingField(returned)], body: returned };
  }
  const fields = [`Content-Type: ${headersOnly ? 'message/global-headers' : 'message/global'}`];
  if (unicode || isSevenBit(returned)) return { fields: [...fields, ...encodingField(returned)], body: returned };
  const lines = returned.toString('base64').match(/.{1,76}/g) ?? [];
  return { fields: [...fields, 'Content-Transfer-Encoding: base64'], body: Buffer.from(lines.join('\r\n')) };
}

function statusFields(input: DsnInput, unicode: boolean): string[] {
  const lines = [`Reporting-MTA: dns; ${input.reportingMta}`];
  if (input.envid) lines.push(field('Original-Envelope-Id', printable(input.envid, unicode)));
  lines.push(`X-Waypost-Queue-Id: ${input.original.id}`, `Arrival-Date: ${formatDate(input.original.receivedAt)}`);
  for (const recipient of input.recipients) lines.push('', ...recipientFields(recipient, unicode));
  return [...lines, ''];
}

function recipientFields(recipient: DsnRecipient, unicode: boolean): string[] {
  const { reply, remote, lastAttemptAt, willRetryUntil } = recipient;
  const said = remote ? `smtp; ${formatReply(reply)}` : `x-waypost; ${formatReply(reply)}`;
  return [
    ...(recipient.orcpt ? [field('Original-Recipient', typedAddress(recipient.orcpt, unicode))] : []),
    field(
      'Final-Recipient',
      typedAddress(`${isInternational(recipient.address) ? 'utf-8' : 'rfc822'};${recipient.address}`, unicode),
    ),
    `Action: ${recipient.action}`,
    `Status: ${statusOf(reply)}`,
    ...(remote ? [field('Remote-MTA', `dns; ${printable(remote.split(' ')[0] ?? '', unicode)}`)] : []),
    field('Diagnostic-Code', printable(said, unicode)),
    ...(lastAttemptAt === undefined ? [] : [`Last-Attempt-Date: ${formatDate(lastAttemptAt)}`]),
    ...(willRetryUntil === undefined ? [] : [`Will-Retry-Until: ${formatDate(willRetryUntil)}`]),
  ];
}

/** ORCPT and addresses stand decoded in a DSN (RFC 3464 §2.3.1), but for what the utf-8 type escapes (RFC 6533 §3). */
function typedAddress(orcpt: string, unicode: boolean): string {
  const { type, address } = splitOrcpt(orcpt);
  const utf8 = type.toLowerCase() === 'utf-8' || isInternational(address);
  return utf8
    ? `utf-8; ${encodeUtf8Address(address, unicode)}`
    : `${printable(type, false)}; ${printable(address, false)}`;
}

const printable = (text: string, unicode: boolean) =>
  text.replace(unicode ? /[\x00-\x1f\x7f-\x9f]/g : /[^\x20-\x7e]/gu, '?').slice(0, 1000);

/** Folds at spaces, so that lines stay within 78 where the words allow and within 998 in any case (RFC 5322 §2.1.1). */
function field(name: string, value: string): string {
  const lines: string[] = [];
  let line = `${name}:`;
  for (const word of value.split(/ +/).flatMap((long) => long.match(/.{1,900}/gu) ?? [])) {
    if (line.length + 1 + word.length > 78 && !line.endsWith(':')) {
      lines.push(line);
      line = '';
    }
    line += ` ${word}`;
  }
  return [...lines, line].join('\r\n');
}
