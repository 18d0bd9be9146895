import type { MessageMeta } from '@waypost/mail';
import type { Uncommitted } from './port.js';

/** A message on its way to policy: the length of its meta in four octets, the meta as JSON, the body as it is. */
export function encode({ meta, body }: Uncommitted): Buffer {
  const json = Buffer.from(JSON.stringify({ meta, hasBody: body !== undefined }));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(json.length);
  return Buffer.concat([length, json, ...(body ? [body] : [])]);
}

/** @throws Error where it is none. */
export function decode(octets: Buffer): Uncommitted {
  const end = 4 + (octets.length < 4 ? Number.POSITIVE_INFINITY : octets.readUInt32BE());
  if (end > octets.length) throw new Error('the request is cut short');
  const { meta, hasBody } = JSON.parse(octets.toString('utf8', 4, end)) as { meta: MessageMeta; hasBody: boolean };
  return hasBody ? { meta, body: octets.subarray(end) } : { meta };
}
