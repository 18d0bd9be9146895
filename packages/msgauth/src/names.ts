import { domainToASCII } from 'node:url';

const ASCII = /^[\x00-\x7f]*$/;
/** Characters that can make a name of 253 octets. */
const LONGEST = 512;
const LABELS = /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/;

/**
 * @param name a domain name or a selector, ASCII or not, with or without the final dot.
 * @returns it in lower case as A-labels (RFC 8616), without the dot; undefined where it is no name.
 */
export function toName(name: string): string | undefined {
  if (name.length > LONGEST) return undefined;
  const bare = name.endsWith('.') ? name.slice(0, -1) : name;
  const ascii = ASCII.test(bare) ? bare.toLowerCase() : domainToASCII(bare);
  if (ascii.length > 253 || !LABELS.test(ascii)) return undefined;
  return ascii.split('.').every((label) => label.length <= 63) ? ascii : undefined;
}

/** Octets of UTF-8 that stand one a character become text. */
export const fromOctets = (text: string) => (ASCII.test(text) ? text : Buffer.from(text, 'latin1').toString('utf8'));

/** Whether a name is the other or lies below it; both as `toName` gives them. */
export const isWithin = (name: string, parent: string) => name === parent || name.endsWith(`.${parent}`);
