import { isIPv4, isIPv6 } from 'node:net';
import type { NameLookup } from './lookup.js';

/** A DNS list of addresses (RFC 5782) or of domains. */
export interface DnsList {
  /** Such as `bl.example.org`. */
  readonly zone: string;
  /** What its symbol is called. */
  readonly name: string;
  /** Points where an answer is in `codes` with none of its own, or there are no `codes`. */
  readonly score: number;
  /** Points by answer: an address (`127.0.0.2`), one with `*` in it, or a bit of the last octet (`&8`). */
  readonly codes?: Readonly<Record<string, number>>;
}

export type ListResult = 'listed' | 'clean' | 'refused' | 'failed';

export interface Listed {
  readonly list: DnsList;
  readonly score: number;
  readonly reason: string;
}

/**
 * Asks a list about an address or a domain.
 * @param told hears of each answer, for metrics.
 * @returns undefined where it is not listed, or the list gives no answer it can be believed in.
 */
export async function askList(
  list: DnsList,
  subject: string,
  lookup: NameLookup,
  told: (result: ListResult) => void,
): Promise<Listed | undefined> {
  const question = isIPv4(subject) || isIPv6(subject) ? reversed(subject) : subject;
  const answers = await lookup.listed(`${question}.${list.zone}`);
  if (!answers) return void told('failed');
  if (answers.length === 0) return void told('clean');
  const believed = answers.filter(isListing);
  if (believed.length === 0) return void told('refused');
  told('listed');
  const score = list.codes ? byCode(believed, list.codes) : list.score;
  if (score === undefined) return undefined;
  return { list, score, reason: `${subject} is in ${list.zone} (${believed.slice(0, 4).join(', ')})` };
}

/**
 * Lists answer in 127.0.0.0/8 (RFC 5782 §2.1). 127.255.255.x is how they refuse who asks too much or through a public
 * resolver, and 127.0.0.1 is nothing that a list may say (§5); any other address is of a resolver that answers everything.
 */
const isListing = (answer: string) =>
  answer.startsWith('127.') && !answer.startsWith('127.255.255.') && answer !== '127.0.0.1';

/** @returns the points of the worst code; undefined where none of them counts. */
function byCode(answers: readonly string[], codes: Readonly<Record<string, number>>): number | undefined {
  const points = answers.flatMap((answer) =>
    Object.entries(codes).flatMap(([code, score]) => (matches(answer, code) ? [score] : [])),
  );
  return points.length === 0
    ? undefined
    : points.reduce((worst, one) => (Math.abs(one) > Math.abs(worst) ? one : worst));
}

function matches(answer: string, code: string): boolean {
  if (code.startsWith('&')) return (Number(answer.split('.')[3]) & Number(code.slice(1))) !== 0;
  const wanted = code.split('.');
  return answer.split('.').every((part, at) => wanted[at] === '*' || wanted[at] === part);
}

/** @returns an address as lists are asked for it: octets, or nibbles for IPv6 (RFC 5782 §2.1, §2.4), in reverse. */
export function reversed(address: string): string {
  if (isIPv4(address)) return address.split('.').reverse().join('.');
  return [...expanded(address)].reverse().join('.');
}

/** @returns the 32 hex digits of an IPv6 address. */
function expanded(address: string): string {
  const plain = address
    .replace(/%.*$/, '')
    .toLowerCase()
    .replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...octets: string[]) => {
      const [a = 0, b = 0, c = 0, d = 0] = octets.slice(0, 4).map(Number);
      return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
    });
  const [head = '', tail] = plain.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  const groups = [...before, ...Array.from({ length: Math.max(0, zeros) }, () => '0'), ...after];
  return groups.map((group) => group.padStart(4, '0')).join('');
}
