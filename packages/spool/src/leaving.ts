import { Readable } from 'node:stream';
import type { Cut } from '@waypost/mail';

/** What policy changed of a stored message. */
export interface Changes {
  /** Header fields to put before it, each ended by CRLF. */
  readonly prepend?: string | undefined;
  readonly cut?: Cut | undefined;
}

/**
 * @returns the message as it leaves: without what was cut, behind what was put before it. A stream stays a stream, and one that
 *   is never read does not reach its source.
 */
export function leaving(body: Buffer | Readable, { prepend, cut = [] }: Changes): Buffer | Readable {
  if (!prepend && cut.length === 0) return body;
  const head = Buffer.from(prepend ?? '');
  if (Buffer.isBuffer(body)) return Buffer.concat([head, ...withoutCut(body, 0, cut)]);
  const whole = Readable.from(changed(head, body, cut), { objectMode: false });
  whole.once('close', () => body.destroy());
  return whole;
}

async function* changed(head: Buffer, body: Readable, cut: Cut): AsyncGenerator<Buffer> {
  if (head.length > 0) yield head;
  let at = 0;
  for await (const chunk of body) {
    yield* withoutCut(chunk as Buffer, at, cut);
    at += (chunk as Buffer).length;
  }
}

/** @returns the parts of a chunk that begins at `offset` which are not cut. */
function withoutCut(chunk: Buffer, offset: number, cut: Cut): Buffer[] {
  const parts: Buffer[] = [];
  let at = 0;
  for (const [start, end] of cut) {
    if (end <= offset + at) continue;
    if (start >= offset + chunk.length) break;
    if (start > offset + at) parts.push(chunk.subarray(at, start - offset));
    at = Math.min(end - offset, chunk.length);
  }
  if (at < chunk.length) parts.push(chunk.subarray(at));
  return parts;
}

/** @returns octets of the message as it leaves. */
export function leavingSize(size: number, { prepend = '', cut = [] }: Changes): number {
  return cut.reduce((left, [start, end]) => left - (end - start), size + Buffer.byteLength(prepend));
}
