import {
  type FieldSpan,
  fieldValue,
  formatDate,
  headerEnd,
  headerFields,
  receivedField,
  SmtpError,
} from '@waypost/mail';
import { parseTraceparent } from '@waypost/runtime';
import { claimedAuthor, foreignAuthor } from '../author.js';
import type { AcceptSettings, Incoming } from './incoming.js';

/** What the header section told, and what becomes of the message's beginning. */
export interface HeaderFacts {
  /** Our Received field, and what submission adds (RFC 6409 §8). */
  readonly prepend: Buffer;
  /** The rest of what was read, without fields that must not travel. */
  readonly body: readonly Buffer[];
  readonly hops: number;
  readonly messageId?: string;
  readonly subject?: string;
  readonly from?: string;
  readonly traceparent?: string | undefined;
  /** It is to arrive although TLS fails (RFC 8689 §5). */
  readonly tlsOptional?: true;
}

export interface HeaderInput {
  readonly id: string;
  readonly started: number;
  readonly incoming: Incoming;
  readonly settings: AcceptSettings;
}

const DISPLAYED = 998;

/**
 * Reads the header section once: counts hops, finds loops, removes Bcc and adds Date and Message-ID on submission.
 * @throws SmtpError
 */
export function prepareHeader(head: Buffer, whole: boolean, input: HeaderInput): HeaderFacts {
  const { settings, incoming, id, started } = input;
  const found = headerEnd(head);
  const end = found < 0 ? head.length : found;
  if (end > settings.headerSize || (found < 0 && !whole && head.length > settings.headerSize)) {
    throw new SmtpError(552, '5.3.4', `Header section is larger than ${settings.headerSize} octets`);
  }
  const fields = headerFields(head, end);
  const first = (name: string) => {
    const field = fields.find((one) => one.name === name);
    return field && fieldValue(head, field).slice(0, DISPLAYED);
  };
  const hops = checkLoop(head, fields, settings);
  const submission = incoming.origin.kind === 'submission';
  const foreign = incoming.credential && foreignAuthor(head, fields, incoming.credential);
  if (foreign !== undefined) {
    throw new SmtpError(550, '5.7.1', `From header rejected: this credential may not send as ${printable(foreign)}`);
  }
  const claimed = incoming.foreign && claimedAuthor(head, fields, incoming.foreign);
  if (claimed !== undefined) {
    throw new SmtpError(550, '5.7.1', `From header rejected: ${printable(claimed)} sends from here with a login only`);
  }
  const messageId = first('message-id') || (submission ? `<${id}@${settings.hostname}>` : undefined);
  const received = receivedField(settings.hostname, {
    id,
    origin: incoming.origin,
    envelope: incoming.envelope,
    receivedAt: started,
  });
  const added = [
    received,
    ...(submission && !fields.some((field) => field.name === 'date') ? [`Date: ${formatDate(started)}\r\n`] : []),
    ...(submission && !first('message-id') ? [`Message-ID: ${messageId}\r\n`] : []),
  ].join('');
  const subject = first('subject');
  const from = first('from');
  return {
    prepend: Buffer.from(added),
    body: cut(head, submission ? fields.filter((field) => REMOVED.has(field.name)) : []),
    hops,
    traceparent: parseTraceparent(first('x-traceparent')),
    ...(messageId ? { messageId } : {}),
    ...(subject ? { subject } : {}),
    ...(from ? { from } : {}),
    ...(first('tls-required')?.trim().toLowerCase() === 'no' ? { tlsOptional: true } : {}),
  };
}

/** A reply is one line of ASCII. */
const printable = (text: string) => text.replace(/[^\x20-\x7e]/g, '?');

/** Blind copies go by the envelope alone (RFC 5322 §3.6.3). */
const REMOVED = new Set(['bcc', 'resent-bcc']);

/** @returns how many hops there were. @throws SmtpError for a loop (RFC 5321 §6.3). */
function checkLoop(head: Buffer, fields: readonly FieldSpan[], settings: AcceptSettings): number {
  const received = fields.filter((field) => field.name === 'received');
  if (received.length >= settings.receivedLimit) {
    throw new SmtpError(554, '5.4.6', `Routing loop: the message has ${received.length} Received fields`);
  }
  const ours = `by ${settings.hostname} (Waypost)`;
  const times = received.filter((field) => fieldValue(head, field).includes(ours)).length;
  if (times >= OWN_PASSES) throw new SmtpError(554, '5.4.6', `Routing loop: the message was here ${times} times`);
  return received.length;
}

/** Through here once more may be wanted, as by a list server; this often it is a loop. */
const OWN_PASSES = 4;

function cut(buffer: Buffer, fields: readonly FieldSpan[]): Buffer[] {
  const parts: Buffer[] = [];
  let at = 0;
  for (const field of fields) {
    if (field.start > at) parts.push(buffer.subarray(at, field.start));
    at = field.end;
  }
  parts.push(buffer.subarray(at));
  return parts;
}
