import { addressesIn } from './addresses.js';
import { type Fields, fieldGroups } from './fields.js';

/** What a report returns of the message it is about. */
export interface Original {
  readonly messageId?: string;
  /** Who it was sent to, by its own header. */
  readonly to: readonly string[];
  /** What its sender may know it by again, surest first: its X-Waypost-Trace and its Return-Path. */
  readonly marks: readonly string[];
  /** Our queue id, as its X-Waypost-Id has it. */
  readonly queueId?: string;
}

/** @param text a message's beginning, its header section at least. */
export function readOriginal(text: string | undefined): Original {
  const [header] = fieldGroups((text ?? '').trimStart());
  if (!header) return { to: [], marks: [] };
  const messageId = /<[^<>\s]{1,900}>/.exec(header.get('message-id') ?? '')?.[0];
  const to = [...recipientFields(header)].flatMap(addressesIn);
  const marks = ['x-waypost-trace', 'return-path'].flatMap((name) => header.get(name)?.slice(0, 1_000) ?? []);
  const queueId = /^[0-9a-f-]{36}$/.exec(header.get('x-waypost-id')?.trim() ?? '')?.[0];
  return { to: [...new Set(to)], marks, ...(messageId ? { messageId } : {}), ...(queueId ? { queueId } : {}) };
}

const recipientFields = (header: Fields) =>
  ['x-original-to', 'delivered-to', 'to', 'cc'].flatMap((name) => header.get(name) ?? []).slice(0, 1);

/**
 * Where the original begins in the text of a report that has no parts. What hosts write there varies without end, but it says
 * that the message, or its header, follows; or the header itself begins.
 */
const BEGINNINGS: readonly RegExp[] = [
  /^[-_=*+>#\s]{2,80}your (?:message|mail|e-?mail)[-_=*+\s:.]{0,80}$/i,
  /^[-_=*+>#\s]{0,80}(?:the )?(?:original|returned|unsent|failed|undelivered) (?:message|mail|e-?mail)(?: (?:headers?|text|body|content)s?)?(?: (?:is )?(?:follow(?:s|ing)?|below|attached))?[-_=*+\s:.]{0,80}$/i,
  /^[-_=*+>#\s]{2,80}.{0,60}\b(?:copy of (?:the|your) (?:message|mail)|below this line|(?:message|mail|headers?|text|body|contents?)[^-]{0,40} follows?\b|header of the (?:original )?message|message (?:headers?|text|body))/i,
  /^(?:message|mail) (?:headers?|text|body|contents?) follows?/i,
  /^[^:]{0,60}\b(?:original|your|returned) (?:message|mail|e-?mail)[^:]{0,60}\b(?:follows?|is following)\b[^a-z]{0,40}$/i,
  /^below is (?:a copy of )?the (?:original )?message/i,
  /^Return-Path: </i,
  /^Received: (?:from|by|\()/i,
  /^(?:X-Received|DKIM-Signature|X-Google-DKIM-Signature|X-Google-Smtp-Source): /i,
];

/** Splits the text of a report. @returns what the reporting host wrote, and what it returns of the original. */
export function splitText(text: string): { said: string; original: string } {
  const lines = text.split('\n');
  const at = lines.findIndex((line) => BEGINNINGS.some((one) => one.test(line.slice(0, 400))));
  if (at < 0) return { said: text, original: '' };
  const from = /^[A-Za-z-]+: /.test(lines[at] as string) ? at : at + 1;
  return { said: lines.slice(0, at).join('\n'), original: lines.slice(from).join('\n') };
}
