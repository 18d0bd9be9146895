import type { Readable } from 'node:stream';
import type { MessageRecord } from '@waypost/mail';
import { decodeWords, type ParsedMail, parseMail } from '@waypost/mime';

/** Octets of a message that are read to show it. */
const READ = 4_194_304;
/** Characters of its text that are shown. */
const TEXT = 65_536;
const MOST = 200;

/** @returns a held message in a line of a list. */
export function heldLine({ meta, judged, found = [], recipients }: MessageRecord) {
  const hold = judged?.hold;
  return {
    id: meta.id,
    received_at: iso(meta.receivedAt),
    held_by: hold?.by ?? null,
    reason: hold?.reason ?? null,
    until: hold ? iso(hold.until) : null,
    sender: meta.envelope.sender,
    recipients: meta.envelope.recipients
      .filter((_, i) => recipients[i]?.state === 'held')
      .map(({ address }) => address),
    subject: meta.subject ? plain(decodeWords(meta.subject)) : null,
    size: meta.body.size,
    score: found.reduce((sum, { score }) => sum + score, 0),
    listener: meta.origin.listener,
    remote: meta.origin.remoteAddress ?? null,
    tenant: meta.origin.tenant ?? null,
    tags: judged?.findings.tags ?? meta.tags ?? [],
  };
}

/**
 * @returns a held message as it may be looked at: text alone, nothing that could run or be fetched, no content of attachments.
 */
export function heldView(record: MessageRecord, message: Buffer) {
  const mail = parseMail(message);
  const { judged, found = [] } = record;
  return {
    ...heldLine(record),
    symbols: found,
    facts: judged?.findings.facts ?? {},
    done: judged?.done ?? [],
    headers: mail.fields
      .slice(0, MOST)
      .map(({ name, value }) => ({ name, value: plain(decodeWords(value)).slice(0, 4096) })),
    text: textOf(mail),
    attachments: mail.attachments.slice(0, MOST).map((part) => ({
      filename: part.filename === undefined ? null : plain(part.filename),
      type: plain(part.type),
      size: part.raw.length,
    })),
  };
}

/** What a reader would see, as text; of mail that has none, the words of its markup. */
function textOf(mail: ParsedMail): string {
  const text = mail.plainText().slice(0, TEXT) || wordsOf(mail.htmlText().slice(0, 4 * TEXT));
  return plain(text, true).slice(0, TEXT);
}

/** Tags, styles and scripts taken out. What is left is shown as text, so that nothing depends on their being complete. */
function wordsOf(html: string): string {
  let out = '';
  let skipped = '';
  for (const piece of html.split('<')) {
    const end = piece.indexOf('>');
    const tag = end < 0 ? '' : (/^\/?[a-z]+/i.exec(piece)?.[0].toLowerCase() ?? '');
    if (skipped !== '') {
      if (tag !== `/${skipped}`) continue;
      skipped = '';
    } else if (tag === 'script' || tag === 'style') {
      skipped = tag;
      continue;
    }
    out += `${/^\/?(?:p|br|div|tr|li|h\d)$/.test(tag) ? '\n' : ' '}${piece.slice(end + 1)}`;
  }
  return out
    .replace(/[^\S\n]+/g, ' ')
    .replace(/ ?\n[ \n]*/g, '\n')
    .trim();
}

/** Without what could move a terminal's cursor or turn the reading direction. */
function plain(text: string, lines = false): string {
  const safe = text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g, '');
  return lines ? safe : safe.replace(/[\t\n]/g, ' ');
}

/** @returns the beginning of a message, enough to show it. */
export async function beginningToShow(body: Buffer | Readable): Promise<Buffer> {
  if (Buffer.isBuffer(body)) return body.subarray(0, READ);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    chunks.push(chunk as Buffer);
    size += (chunk as Buffer).length;
    if (size >= READ) break;
  }
  return Buffer.concat(chunks).subarray(0, READ);
}

const iso = (time: number) => new Date(time).toISOString();
