import { decodeWords } from './words.js';

/** One mailbox of a From, To or like field. */
export interface MailAddress {
  /** What is shown for it, decoded; may be empty. */
  readonly name: string;
  /** As written, without angle brackets and blanks; empty where there is none. */
  readonly address: string;
}

const MOST = 1_000;

/**
 * Reads an address list (RFC 5322 §3.4), groups and comments included, as leniently as mail programs do. Never throws.
 * @param value unfolded.
 */
export function parseAddresses(value: string): MailAddress[] {
  const list: MailAddress[] = [];
  let phrase = '';
  /** Kept beside: to search the phrase at each token would take quadratic time. */
  let hasAt = false;
  let comment = '';
  let address: string | undefined;
  const flush = () => {
    const shown = decodeWords(phrase.trim()).trim();
    if (address !== undefined) list.push({ name: shown || decodeWords(comment.trim()), address });
    else if (/@/.test(shown)) list.push({ name: decodeWords(comment.trim()), address: shown.replace(/\s+/g, '') });
    else if (shown) list.push({ name: shown, address: '' });
    phrase = '';
    hasAt = false;
    comment = '';
    address = undefined;
  };
  const say = (text: string) => {
    phrase += text;
    hasAt ||= text.includes('@');
  };
  for (const token of tokens(value)) {
    if (list.length >= MOST) return list;
    const first = token[0];
    if (token === ',' || token === ';') flush();
    else if (first === '"') say(unquoted(token));
    else if (first === '(') comment += token.slice(1, token.endsWith(')') ? -1 : undefined);
    else if (first === '<') address ??= token.replace(/^<|>$/g, '').replace(/\s+/g, '');
    // The name of a group ends in a colon, where no address stands before it.
    else if (token.endsWith(':') && !hasAt) phrase = '';
    else say(token);
  }
  flush();
  return list;
}

/** Quoted texts, comments, bracketed addresses, separators, and runs of everything else. */
const TOKEN = /"(?:[^"\\]|\\.)*"?|\((?:[^()\\]|\\.)*\)?|<[^>]*>?|[,;]|[^",;<(:]*:(?!:)|[^",;<(]+|./gsy;

function* tokens(value: string): Generator<string> {
  TOKEN.lastIndex = 0;
  for (const match of value.matchAll(TOKEN)) yield match[0];
}

/** A quoted local part keeps its quotes, a quoted name loses them. */
function unquoted(token: string): string {
  return token.replace(/^"|"$/g, '').replace(/\\(.)/gs, '$1');
}
