import type { Readable } from 'node:stream';
import { buildDsn, type DsnRecipient, headerEnd, type MessageMeta } from '@waypost/mail';
import type { Spool } from '@waypost/spool';
import type { Arrival } from './committer.js';
import { newMessageId } from './id.js';

/** The message a notice is about, as far as a DSN speaks of it. */
export interface NoticeSubject {
  readonly id: string;
  readonly sender: string;
  readonly receivedAt: number;
  readonly ret?: 'FULL' | 'HDRS' | undefined;
  readonly envid?: string | undefined;
  readonly traceparent?: string | undefined;
}

/** Octets of the original a failure DSN returns at most; more would only fill boxes. */
const RETURNED_MAX = 51_200;

const BEGINNING = 65_536;

/** @returns a whole message where it is small, else its beginning with all of the header section. */
export async function beginningOf(body: Buffer | Readable): Promise<Buffer> {
  if (Buffer.isBuffer(body)) return body;
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    chunks.push(chunk as Buffer);
    size += (chunk as Buffer).length;
    if (size > BEGINNING && (headerEnd(Buffer.concat(chunks)) >= 0 || size > 16 * BEGINNING)) break;
  }
  return Buffer.concat(chunks);
}

/**
 * Makes a DSN ready to be committed: from the null reverse-path to the sender of the original.
 * @param original as much of the message as is at hand; its header section at least.
 */
export async function makeNotice(
  spool: Spool,
  hostname: string,
  subject: NoticeSubject,
  recipients: readonly DsnRecipient[],
  original: Buffer,
): Promise<Arrival> {
  const id = newMessageId();
  const now = Date.now();
  // The whole message only with failures (RFC 3461 §6.2), and when it is small.
  const full =
    subject.ret !== 'HDRS' && original.length <= RETURNED_MAX && recipients.some(({ action }) => action === 'failed');
  const end = headerEnd(original);
  const returned = full ? original : original.subarray(0, Math.min(end < 0 ? original.length : end, RETURNED_MAX));
  const body = buildDsn({
    reportingMta: hostname,
    original: subject,
    recipients,
    returned,
    headersOnly: !full,
    id,
    date: now,
    ...(subject.envid ? { envid: subject.envid } : {}),
  });
  const draft = await spool.store(id, body);
  const meta: MessageMeta = {
    id,
    envelope: { sender: '', recipients: [{ address: subject.sender, notify: ['NEVER'] }], body: '8BITMIME' },
    origin: { kind: 'internal', listener: 'dsn', protocol: 'ESMTP' },
    body: draft.ref,
    receivedAt: now,
    hops: 0,
    messageId: `<${id}@${hostname}>`,
    subject: `DSN for ${subject.id}`,
    ...(subject.traceparent ? { traceparent: subject.traceparent } : {}),
  };
  return { meta, draft };
}
