import { isInternational } from './address.js';
import type { Notify } from './envelope.js';
import { formatDate } from './received.js';
import { formatReply, type Reply, statusOf } from './reply.js';
import { encodeXtext } from './xtext.js';

/** What a DSN says of one recipient (RFC 3464 §2.3.3). */
export type DsnAction = 'failed' | 'delayed' | 'delivered' | 'relayed';

export interface DsnRecipient {
  readonly address: string;
  readonly orcpt?: string;
  readonly notify?: readonly Notify[];
  readonly action: DsnAction;
  readonly reply: Reply;
  readonly remote?: string;
  /** Milliseconds since the epoch. */
  readonly lastAttemptAt?: number;
  /** For `delayed`: until when we go on, ms since the epoch. */
  readonly willRetryUntil?: number;
}

export interface DsnInput {
  /** Our name. */
  readonly reportingMta: string;
  /** Id and reverse-path of the message this is about. */
  readonly original: { readonly id: string; readonly sender: string; readonly receivedAt: number };
  readonly envid?: string;
  readonly recipients: readonly DsnRecipient[];
  /** The original message, or its header section when `headersOnly`. */
  readonly returned: Buffer;
  readonly headersOnly: boolean;
  /** Queue id of the DSN, for Message-ID and boundary. */
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly date: number;
}

/**
 * Decides whether a recipient gets a DSN (RFC 3461 §5.2, §6.2): never for a null reverse-path, never against NOTIFY; without NOTIFY
 * for failures and delays.
 */
export function wantsDsn(action: DsnAction, sender: string, notify: readonly Notify[] | undefined): boolean {
  if (sender === '') return false;
  if (!notify) return action === 'failed' || action === 'delayed';
  if (notify.includes('NEVER')) return false;
  if (action === 'failed') return notify.includes('FAILURE');
  if (action === 'delayed') return notify.includes('DELAY');
  return notify.includes('SUCCESS');
}

const SUBJECTS: Record<DsnAction, string> = {
  failed: 'Undelivered mail returned to sender',
  delayed: 'Delayed mail, still being tried',
  delivered: 'Your mail was delivered',
  relayed: 'Your mail was relayed',
};
const LEADS: Record<DsnAction, string> = {
  failed: 'Your message could not be delivered to one or more recipients. It will not be tried again.',
  delayed: 'Your message could not be delivered yet. You need to do nothing: it is still being tried.',
  delivered: 'Your message was delivered to the recipients below.',
  relayed: 'Your message was handed on to a system that does not send delivery reports; nothing further will be said of it.',
};

/**
 * Builds a delivery status notification: multipart/report with a text for people, a status for programs and what is
 * returned of the message (RFC 3461 §6, RFC 3464, RFC 6522; RFC 6533 where addresses are international).
 * @returns the whole message; its reverse-path must be null.
 */
export function buildDsn(input: DsnInput): Buffer {
  const action = input.recipients.some((recipient) => recipient.action === 'failed')
    ? 'failed'
    : (input.recipients[0]?.action ?? 'failed');
  const utf8 = input.recipients.some((recipient) => isInternational(recipient.address)) || isInternational(input.original.sender);
  const boundary = `=_${input.id}`;
  const returnedType = input.headersOnly
    ? utf8 ? 'message/global-headers' : 'text/rfc822-headers'
    : utf8 ? 'message/global' : 'message/rfc822';
  const head = [
    `From: Mail Delivery System <MAILER-DAEMON@${input.reportingMta}>`,
    `To: <${input.original.sender}>`,
    `Subject: ${SUBJECTS[action]}`,
    `Date: ${formatDate(input.date)}`,
    `Message-ID: <${input.id}@${input.reportingMta}>`,
    'Auto-Submitted: auto-replied',
    'MIME-Version: 1.0',
    `Content-Type: multipart/report; report-type=delivery-status; boundary="${boundary}"`,
    '',
    `--${boundary}`,
    `Content-Type: text/plain; charset=utf-8`,
    'Content-Transfer-Encoding: 8bit',
    '',
    ...humanText(input, action),
    '',
    `--${boundary}`,
    `Content-Type: ${utf8 ? 'message/global-delivery-status' : 'message/delivery-status'}`,
    '',
    ...statusFields(input, utf8),
    `--${boundary}`,
    `Content-Type: ${returnedType}`,
    ...(/[\x80-\uffff]/.test(input.returned.toString('latin1')) ? ['Content-Transfer-Encoding: 8bit'] : []),
    '',
    '',
  ].join('\r\n');
  const gap = input.returned.subarray(-2).equals(Buffer.from('\r\n')) ? '' : '\r\n';
  return Buffer.concat([Buffer.from(head), input.returned, Buffer.from(`${gap}\r\n--${boundary}--\r\n`)]);
}

function humanText(input: DsnInput, action: DsnAction): string[] {
  const lines = [`This is the mail system at ${input.reportingMta}.`, '', LEADS[action], ''];
  for (const recipient of input.recipients) {
    lines.push(`<${recipient.address}>:`);
    const who = recipient.remote ? `${recipient.remote} said: ` : '';
    lines.push(`    ${who}${formatReply(recipient.reply)}`.slice(0, 900));
    if (recipient.willRetryUntil !== undefined) lines.push(`    Tried until ${formatDate(recipient.willRetryUntil)}.`);
    lines.push('');
  }
  if (action === 'failed') {
    lines.push('Check the address for mistakes, or send what is above to your administrator.');
    lines.push(`Our id of your message is ${input.original.id}.`);
  }
  return lines;
}

function statusFields(input: DsnInput, utf8: boolean): string[] {
  const lines = [`Reporting-MTA: dns; ${input.reportingMta}`];
  if (input.envid) lines.push(`Original-Envelope-Id: ${encodeXtext(input.envid)}`);
  lines.push(`X-Waypost-Queue-Id: ${input.original.id}`, `Arrival-Date: ${formatDate(input.original.receivedAt)}`, '');
  for (const recipient of input.recipients) {
    if (recipient.orcpt) {
      const [type = 'rfc822', ...rest] = recipient.orcpt.split(';');
      lines.push(`Original-Recipient: ${type};${encodeXtext(rest.join(';'))}`);
    }
    lines.push(`Final-Recipient: ${utf8 && isInternational(recipient.address) ? 'utf-8' : 'rfc822'};${recipient.address}`);
    lines.push(`Action: ${recipient.action}`, `Status: ${statusOf(recipient.reply)}`);
    if (recipient.remote) lines.push(`Remote-MTA: dns; ${recipient.remote.split(' ')[0]}`);
    lines.push(`Diagnostic-Code: smtp; ${formatReply(recipient.reply)}`.slice(0, 900));
    if (recipient.lastAttemptAt !== undefined) lines.push(`Last-Attempt-Date: ${formatDate(recipient.lastAttemptAt)}`);
    if (recipient.willRetryUntil !== undefined) lines.push(`Will-Retry-Until: ${formatDate(recipient.willRetryUntil)}`);
    lines.push('');
  }
  return lines;
}
