import type { Readable } from 'node:stream';

/** What filters are told of a message. */
export interface FilterMessage {
  readonly id: string;
  /** Whole octets. */
  readonly size: number;
  /** The client's address, where there was one. */
  readonly remoteAddress?: string;
  readonly helo?: string;
  /** Reverse-path without brackets. */
  readonly sender: string;
  readonly recipients: readonly string[];
  /** Who authenticated. */
  readonly user?: string;
  /** TLS protocol and cipher. */
  readonly tls?: string;
  /** The whole message; may be called again for another try. */
  body(): Promise<Buffer | Readable>;
}

/** @returns the message in one buffer. */
export async function wholeBody(message: FilterMessage): Promise<Buffer> {
  const body = await message.body();
  if (Buffer.isBuffer(body)) return body;
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
