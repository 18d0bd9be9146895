import type { Readable } from 'node:stream';
import { domainToASCII } from 'node:url';
import { type Envelope, isInternational, type MessageMeta, normaliseAddress, receivedField } from '@waypost/mail';
import addressparser from 'nodemailer/lib/addressparser';
import MailComposer from 'nodemailer/lib/mail-composer';
import { type FieldError, invalid } from './problem.js';
import type { EmailInput } from './schemas.js';

/** What a request asks to be sent, checked. */
export interface Outgoing {
  readonly envelope: Envelope;
  readonly display: Record<string, string[]>;
  readonly scheduledAt?: number;
}

interface Mailbox {
  readonly name: string;
  readonly address: string;
}

const LONGEST_DELAY = 30 * 86_400_000;
const UNITS: Record<string, number> = {
  s: 1e3,
  sec: 1e3,
  second: 1e3,
  m: 60e3,
  min: 60e3,
  minute: 60e3,
  h: 3600e3,
  hour: 3600e3,
  d: 86400e3,
  day: 86400e3,
};

/** @throws Problem 422 with every field that is wrong. */
export function readEmail(input: EmailInput, limits: { recipients: number }, now: number): Outgoing {
  const errors: FieldError[] = [];
  const from = mailboxes([input.from], 'from', errors);
  if (from.length > 1) errors.push({ path: 'from', message: 'must be one address' });
  const to = mailboxes(asList(input.to), 'to', errors);
  const cc = mailboxes(asList(input.cc), 'cc', errors);
  const bcc = mailboxes(asList(input.bcc), 'bcc', errors);
  mailboxes(asList(input.reply_to), 'reply_to', errors);
  if (input.html === undefined && input.text === undefined && !input.attachments?.length) {
    errors.push({ path: 'html', message: 'html, text or an attachment is needed' });
  }
  checkAttachments(input, errors);
  checkHeaders(input, errors);
  const scheduledAt = readTime(input.scheduled_at, now, errors);
  const addresses = [...new Set([...to, ...cc, ...bcc].map(({ address }) => address))];
  if (addresses.length > limits.recipients) {
    errors.push({
      path: 'to',
      message: `has ${addresses.length} recipients with cc and bcc, ${limits.recipients} are allowed`,
    });
  }
  if (errors.length > 0) throw invalid(errors.map(({ path, message }) => `${path}: ${message}`).join('; '), errors);
  const sender = from[0]?.address ?? '';
  const display = Object.fromEntries(
    (['to', 'cc', 'bcc', 'reply_to'] as const).flatMap((field) =>
      input[field] ? [[field, asList(input[field])]] : [],
    ),
  );
  return {
    envelope: toEnvelope(sender, addresses),
    display,
    ...(scheduledAt === undefined ? {} : { scheduledAt }),
  };
}

/** @returns an envelope; SMTPUTF8 where an address needs it. */
export function toEnvelope(sender: string, recipients: readonly string[]): Envelope {
  return {
    sender,
    recipients: recipients.map((address) => ({ address })),
    body: '8BITMIME',
    ...([sender, ...recipients].some(isInternational) ? { smtputf8: true } : {}),
  };
}

export const asList = (value: string | readonly string[] | undefined): string[] =>
  value === undefined ? [] : typeof value === 'string' ? [value] : [...value];

/** Reads header addresses such as `App <app@example.com>`; domains go to their ASCII form (RFC 5890). */
export function mailboxes(values: readonly string[], path: string, errors: FieldError[]): Mailbox[] {
  return values.flatMap((value) => {
    const parsed = /[\r\n\0]/.test(value) ? [] : addressparser(value, { flatten: true });
    const boxes = parsed.flatMap(({ name, address }) => {
      const at = address?.lastIndexOf('@') ?? -1;
      const domain = at > 0 ? domainToASCII((address as string).slice(at + 1)) : '';
      const normal = domain && normaliseAddress(`${(address as string).slice(0, at)}@${domain}`);
      return normal ? [{ name: name ?? '', address: normal }] : [];
    });
    if (boxes.length === 0 || boxes.length !== parsed.length) {
      errors.push({
        path,
        message: `"${value.slice(0, 100)}" is no address; write user@example.com or Name <user@example.com>`,
      });
    }
    return boxes;
  });
}

function checkAttachments(input: EmailInput, errors: FieldError[]): void {
  input.attachments?.forEach(({ content, path }, index) => {
    const at = `attachments.${index}`;
    if (path !== undefined)
      errors.push({
        path: `${at}.path`,
        message: 'is not supported: this relay fetches nothing, send content in base64',
      });
    else if (content === undefined) errors.push({ path: `${at}.content`, message: 'is needed, in base64' });
    else if (typeof content === 'string' && !isBase64(content))
      errors.push({ path: `${at}.content`, message: 'is not valid base64' });
  });
}

export function isBase64(text: string): boolean {
  const plain = /[\r\n]/.test(text) ? text.replace(/[\r\n]+/g, '') : text;
  return plain.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(plain);
}

/** Fields that the API itself sets. */
const OURS = new Set([
  'from',
  'to',
  'cc',
  'bcc',
  'reply-to',
  'subject',
  'date',
  'received',
  'return-path',
  'mime-version',
  'content-type',
  'content-transfer-encoding',
]);

function checkHeaders({ headers = {} }: EmailInput, errors: FieldError[]): void {
  for (const [name, value] of Object.entries(headers)) {
    if (OURS.has(name.toLowerCase()))
      errors.push({ path: `headers.${name}`, message: 'is set by the API; use the field of that name' });
    if (/[\r\n\0]/.test(value)) errors.push({ path: `headers.${name}`, message: 'has a line break' });
  }
}

/** @returns ms since the epoch, undefined for at once. */
export function readTime(text: string | undefined, now: number, errors: FieldError[]): number | undefined {
  if (text === undefined) return undefined;
  const spoken = /^in\s+(\d+)\s*([a-z]+?)s?$/i.exec(text.trim());
  const unit = UNITS[spoken?.[2]?.toLowerCase() ?? ''];
  const iso = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$/.test(text.trim());
  const time = spoken && unit ? now + Number(spoken[1]) * unit : iso ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time))
    errors.push({
      path: 'scheduled_at',
      message: `"${text.slice(0, 60)}" is no time; write ISO 8601 or "in 5 minutes"`,
    });
  else if (time > now + LONGEST_DELAY) errors.push({ path: 'scheduled_at', message: 'is more than 30 days ahead' });
  return Number.isNaN(time) || time <= now ? undefined : time;
}

/** @returns the MIME message as a stream of octets, built by nodemailer. */
export function composeMime(input: EmailInput, id: string, hostname: string, now: number): Readable {
  const { headers = {} } = input;
  const given = Object.keys(headers).find((name) => name.toLowerCase() === 'message-id');
  const composer = new MailComposer({
    from: input.from,
    to: asList(input.to),
    cc: asList(input.cc),
    replyTo: asList(input.reply_to),
    subject: input.subject,
    date: new Date(now),
    messageId: given ? (headers[given] as string) : `<${id}@${hostname}>`,
    headers: Object.entries(headers)
      .filter(([name]) => name !== given)
      .map(([key, value]) => ({ key, value })),
    disableFileAccess: true,
    disableUrlAccess: true,
    ...(input.text === undefined ? {} : { text: input.text }),
    ...(input.html === undefined ? {} : { html: input.html }),
    attachments: (input.attachments ?? []).map((one) => ({
      filename: one.filename ?? false,
      content:
        typeof one.content === 'string' ? Buffer.from(one.content, 'base64') : Buffer.from(one.content?.data ?? []),
      ...(one.content_type ? { contentType: one.content_type } : {}),
      ...(one.content_id ? { cid: one.content_id, contentDisposition: 'inline' } : {}),
    })),
  });
  return composer.compile().createReadStream();
}

/** @returns the Received field of a message that came over HTTP. */
export function receivedOverHttp(
  hostname: string,
  meta: Pick<MessageMeta, 'id' | 'origin' | 'envelope' | 'receivedAt'>,
): Buffer {
  return Buffer.from(receivedField(hostname, meta));
}
