import type { Readable } from 'node:stream';
import { headerEnd } from '@waypost/mail';
import { RelaxedBodyHash } from './relaxed.js';

/** A message of which the header section was read; the body is not held in memory. */
export interface OpenMessage {
  /** As it is, with the empty line that ends it where there is one. */
  readonly header: Buffer;
  /** Reads the rest, once. @returns SHA-256 of the relaxed body in base64. */
  bodyHash(): Promise<string>;
  /** Lets go of what was not read. */
  close(): void;
}

const tooLong = (limit: number) => new Error(`the header section is longer than ${limit} octets`);

/**
 * Opens a message for signing.
 * @param source with CRLF line ends.
 * @param headerLimit octets.
 * @throws Error for a header section that is longer, and what the source throws.
 */
export async function openMessage(source: Buffer | Readable, headerLimit: number): Promise<OpenMessage> {
  if (Buffer.isBuffer(source)) return openBuffer(source, headerLimit);
  const iterator = source[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const chunks: Buffer[] = [];
  let size = 0;
  let enough = 0;
  for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
    chunks.push(next.value);
    size += next.value.length;
    // Looked for at doubling sizes, so that the search stays linear.
    if (size < enough) continue;
    enough = size * 2;
    const beginning = Buffer.concat(chunks);
    const end = headerEnd(beginning);
    if ((end < 0 ? size : end) > headerLimit) {
      source.destroy();
      throw tooLong(headerLimit);
    }
    if (end >= 0) return { ...restOf(beginning, end, iterator), close: () => source.destroy() };
  }
  return openBuffer(Buffer.concat(chunks), headerLimit);
}

function openBuffer(message: Buffer, headerLimit: number): OpenMessage {
  const found = headerEnd(message);
  // Without the empty line all of it is header, and the body is empty.
  const end = found < 0 ? message.length : found;
  if (end > headerLimit) throw tooLong(headerLimit);
  return {
    header: message.subarray(0, end),
    bodyHash: async () => {
      const hash = new RelaxedBodyHash();
      hash.update(message.subarray(end));
      return hash.digest();
    },
    close: () => undefined,
  };
}

function restOf(beginning: Buffer, end: number, rest: AsyncIterator<Buffer>): Omit<OpenMessage, 'close'> {
  return {
    header: beginning.subarray(0, end),
    bodyHash: async () => {
      const hash = new RelaxedBodyHash();
      hash.update(beginning.subarray(end));
      for (let next = await rest.next(); !next.done; next = await rest.next()) hash.update(next.value);
      return hash.digest();
    },
  };
}
