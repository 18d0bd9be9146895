import { createHash, randomFillSync } from 'node:crypto';

const POOL = 4096;
const pool = Buffer.allocUnsafe(POOL);
let used = POOL;

/** @returns a new queue id: UUIDv7, so that ids sort by time (RFC 9562 §5.7). */
export function newMessageId(now = Date.now()): string {
  if (used + 10 > POOL) {
    randomFillSync(pool);
    used = 0;
  }
  const random = pool.subarray(used, used + 10);
  used += 10;
  return format(now, random);
}

/**
 * @param name what is to get the id.
 * @param at ms since the epoch, from which the id takes its place in time.
 * @returns an id that is the same for the same name and time.
 */
export function derivedMessageId(name: string, at: number): string {
  return format(at, createHash('sha256').update(name).digest());
}

/** @returns when an id was made, ms since the epoch. */
export const messageTime = (id: string): number => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);

function format(now: number, random: Buffer): string {
  const time = now.toString(16).padStart(12, '0');
  const a = (((random[0] as number) & 0x0f) << 8) | (random[1] as number);
  const b = ((random[2] as number) & 0x3f) | 0x80;
  const tail = random.toString('hex', 3, 10);
  return (
    `${time.slice(0, 8)}-${time.slice(8)}-7${a.toString(16).padStart(3, '0')}` +
    `-${b.toString(16)}${tail.slice(0, 2)}-${tail.slice(2)}`
  );
}
