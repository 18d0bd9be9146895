import { Readable } from 'node:stream';
import { headerEnd, isSevenBit } from '@waypost/mail';

/** Octets that are looked at for the end of a header section; accepted messages have theirs well before. */
const LONGEST = 2_097_152;

/**
 * Looks whether a message's header section is more than ASCII (RFC 6532).
 * @returns that, and the message, whole again; a stream stays a stream.
 */
export async function lookAtHeader(
  body: Buffer | Readable,
): Promise<{ readonly message: Buffer | Readable; readonly utf8Header: boolean }> {
  if (Buffer.isBuffer(body)) return { message: body, utf8Header: !isSevenBit(sectionOf(body)) };
  const chunks = body[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let head = Buffer.alloc(0);
  while (headerEnd(head) < 0 && head.length < LONGEST) {
    const { value, done } = await chunks.next();
    if (done) break;
    head = Buffer.concat([head, value]);
  }
  const message = Readable.from(restOf(head, chunks), { objectMode: false });
  // One that is never read does not reach its source.
  message.once('close', () => body.destroy());
  return { message, utf8Header: !isSevenBit(sectionOf(head)) };
}

function sectionOf(head: Buffer): Buffer {
  const end = headerEnd(head);
  return end < 0 ? head : head.subarray(0, end);
}

async function* restOf(head: Buffer, chunks: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  if (head.length > 0) yield head;
  for (let next = await chunks.next(); !next.done; next = await chunks.next()) yield next.value;
}
