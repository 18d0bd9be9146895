import type { Readable } from 'node:stream';

/** @returns the first octets of a body, all of it where it is shorter. */
export async function beginning(body: Buffer | Readable, octets: number): Promise<Buffer> {
  if (Buffer.isBuffer(body)) return body.subarray(0, octets);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    chunks.push(chunk as Buffer);
    size += (chunk as Buffer).length;
    if (size >= octets) break;
  }
  return Buffer.concat(chunks).subarray(0, octets);
}
