import { addressIn, same } from './addresses.js';

/** A recipient that the text of a report names, and what it says of him. */
export interface Passage {
  readonly recipient: string;
  readonly text: string;
}

const MOST_LINES = 2_000;
const MOST_RECIPIENTS = 1_000;
const WHO = '["\'<(]{0,3}([^\\s<>()"\']{1,64}@[a-z0-9](?:[a-z0-9._-]{0,250}[a-z0-9])?)[>"\')]{0,3}';

/**
 * How lines name a recipient, from the surest to the vaguest; the first kind that a report has anywhere is the one it is read
 * by, so that a sure line is not drowned by addresses in what is said.
 */
const KINDS: readonly (readonly RegExp[])[] = [
  // A line that begins with him, and a colon or what was said in brackets.
  [
    new RegExp(`^[\\s*-]{0,12}${WHO}\\s*:?\\s*$`, 'i'),
    new RegExp(`^[\\s*]{0,12}${WHO}\\s*:(?:\\s|$)`, 'i'),
    /^\s{0,12}<([^<>\s]{1,64}@[^<>\s]{1,255})>\s+\S/i,
    new RegExp(`^\\s{0,12}${WHO} on \\w{3}, `, 'i'),
    new RegExp(`^\\s{0,12}${WHO}\\s+\\[`, 'i'),
    new RegExp(`^\\s{0,12}${WHO}\\s+(?=[^@]{0,200}\\b(?:error|invalid|fail|unknown|full|4\\d\\d|5\\d\\d))`, 'i'),
    new RegExp(`^[^\\s:<>]{1,64}:[^\\s:]{0,20}:${WHO}\\s*:`, 'i'),
  ],
  // What was said to the remote, or the result of it with the code before.
  [
    new RegExp(`^[\\s>]{0,8}RCPT TO\\s*:\\s*${WHO}`, 'i'),
    /^[\s>]{0,8}To\s*:\s*<([^<>\s]{1,64}@[^<>\s]{1,255})>/i,
    /^\s{0,8}[45]\d\d <?([^<>\s]{1,64}@[^<>\s]{1,255}?)>?\.\.\. /i,
  ],
  // A sentence that ends in him, or is about him.
  [
    new RegExp(
      `(?:recipients?|address(?:es)?|mailbox|addressee|account|deliver(?:ed|y|ing)?|undeliverable|failed|sen[dt]|rejected|user|reach(?:ed)?|kept?)\\b[^@]{0,120}?${WHO}(?:[\\s.:,;!)\\]]|$)`,
      'i',
    ),
    new RegExp(`^\\s{0,8}To\\s{0,4}:\\s{0,8}${WHO}\\s*$`, 'i'),
    new RegExp(`:\\s{0,8}${WHO}\\s*$`, 'i'),
  ],
];

/** Addresses that are no recipient: whom to ask, who sent it. */
const NOT_HIM =
  /\b(?:contact|assistance|please|from|sender|by|postmaster|message-id|reply-to|help|support|cc)\b[^@]{0,60}$/i;

/**
 * Finds the recipients that the text of a report names.
 * @param said what the reporting host wrote.
 * @param own addresses of the report's own header, which are nobody that it is about.
 */
export function passages(said: string, own: readonly string[]): Passage[] {
  const lines = said
    .split('\n')
    .slice(0, MOST_LINES)
    .map((line) => line.slice(0, 1_000).trimEnd());
  for (const patterns of KINDS) {
    const named = lines.flatMap((line, at) => {
      const recipient = recipientOf(line, patterns);
      return recipient ? [{ at, recipient }] : [];
    });
    const others = named.filter(({ recipient }) => !own.some((one) => same(one, recipient)));
    // Who writes to himself is named too, but then by the surest signs.
    const found = others.length > 0 || patterns !== KINDS[0] ? others : named;
    if (found.length > 0) return cut(lines, found.slice(0, MOST_RECIPIENTS));
  }
  return [];
}

function recipientOf(line: string, patterns: readonly RegExp[]): string | undefined {
  for (const pattern of patterns) {
    const match = pattern.exec(line);
    if (!match?.[1]) continue;
    const before = line.slice(0, match.index + match[0].indexOf(match[1]));
    const recipient = addressIn(match[1]);
    if (recipient && !NOT_HIM.test(before)) return recipient;
  }
  return undefined;
}

/** What is said of each: the line before him, his own and those up to the next one. */
function cut(lines: readonly string[], found: readonly { at: number; recipient: string }[]): Passage[] {
  const texts = new Map<string, string>();
  const names = new Map<string, string>();
  found.forEach(({ at, recipient }, index) => {
    const key = recipient.toLowerCase();
    const before = index === 0 ? (lines.slice(0, at).findLast((line) => line.trim() !== '') ?? '') : '';
    const text = [before, ...lines.slice(at, found[index + 1]?.at)].join('\n');
    if (!names.has(key)) names.set(key, recipient);
    texts.set(key, `${texts.get(key) ?? ''}${text}\n`);
  });
  return [...names].map(([key, recipient]) => ({ recipient, text: texts.get(key) ?? '' }));
}
