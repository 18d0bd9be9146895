import { isIPv6 } from 'node:net';

const GROUPS = 8;
/** IPv6 clients own a /64 at least, so that is what a limit counts. */
const COUNTED = 4;

/**
 * What limits by address count a client under.
 * @param address as a socket tells it.
 * @returns an IPv4 address whole, mapped or not; of an IPv6 address its first 64 bits.
 */
export function addressKey(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
  if (!isIPv6(plain)) return plain;
  const [head = '', tail] = plain.toLowerCase().split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail ? tail.split(':') : [];
  const gap = tail === undefined ? 0 : Math.max(0, GROUPS - before.length - after.length);
  return [...before, ...Array<string>(gap).fill('0'), ...after].slice(0, COUNTED).join(':');
}
