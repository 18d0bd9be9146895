import { createHmac, timingSafeEqual } from 'node:crypto';
import { fromBase32, toBase32 } from './base32.js';

/** What a token stands for. */
export interface TokenSubject {
  /** Queue id of the message. */
  readonly id: string;
  /** Index of the recipient in its envelope; absent where several recipients saw the token. */
  readonly i?: number;
}

const ID = 16;
const INDEX = 2;
/** 80 bits: nobody guesses them over SMTP. */
const MAC = 10;
const SHARED = 0xffff;
const PURPOSE = 'waypost return path 1';
/** Characters of a token: 28 octets in base32. */
export const TOKEN_LENGTH = Math.ceil(((ID + INDEX + MAC) * 8) / 5);

/**
 * Makes a token of a message and recipient: 45 characters of a-z and 2-7, signed.
 * @param subject a recipient beyond the 65,535th has no token of his own.
 */
export function signToken({ id, i }: TokenSubject, secret: string): string {
  const subject = Buffer.alloc(ID + INDEX);
  subject.write(id.replaceAll('-', ''), 'hex');
  subject.writeUInt16BE(i === undefined || i >= SHARED ? SHARED : i, ID);
  return toBase32(Buffer.concat([subject, macOf(subject, secret)]));
}

/**
 * Reads a token in whatever case it came back.
 * @param secrets all that may have signed it; compared in constant time.
 * @returns undefined where none of them has.
 */
export function readToken(text: string, secrets: readonly string[]): TokenSubject | undefined {
  if (text.length !== TOKEN_LENGTH) return undefined;
  const octets = fromBase32(text);
  if (octets?.length !== ID + INDEX + MAC) return undefined;
  const subject = octets.subarray(0, ID + INDEX);
  const given = octets.subarray(ID + INDEX);
  let good = false;
  for (const secret of secrets) good = timingSafeEqual(given, macOf(subject, secret)) || good;
  if (!good) return undefined;
  const hex = subject.toString('hex', 0, ID);
  const id = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  const i = subject.readUInt16BE(ID);
  return i === SHARED ? { id } : { id, i };
}

/** @returns when the message of a queue id was accepted, ms since the epoch (RFC 9562 §5.7). */
export const timeOfId = (id: string): number => Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16);

const macOf = (subject: Buffer, secret: string) =>
  createHmac('sha256', secret).update(PURPOSE).update(subject).digest().subarray(0, MAC);
