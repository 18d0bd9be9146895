import { decodeCharset } from './charset.js';
import { decodeBase64, decodeQuotedPrintable } from './transfer.js';

const WORD = /=\?([^?\s]{1,60})\?([bq])\?([^?]*)\?=/gi;

/** Words of one value that are decoded; what comes after them stays as it is. */
const MOST = 2_000;

/**
 * Decodes the encoded words of a header field's value (RFC 2047), also where they stand inside quotes, as many writers put
 * them. Octets of neighbours in one charset are joined before they become text, since some writers split characters.
 */
export function decodeWords(value: string): string {
  if (!value.includes('=?')) return value;
  let out = '';
  let last = 0;
  let words = 0;
  let pending: { charset: string; octets: Buffer[] } | undefined;
  const flush = () => {
    if (pending) out += decodeCharset(Buffer.concat(pending.octets), pending.charset);
    pending = undefined;
  };
  for (const match of value.matchAll(WORD)) {
    if (++words > MOST) break;
    const between = value.slice(last, match.index);
    const [whole, charset = '', encoding = '', text = ''] = match;
    // Blanks between encoded words are not text (RFC 2047 §6.2).
    if (between.trim() !== '' || !pending) {
      flush();
      out += between;
    } else if (pending.charset !== charset.toLowerCase()) flush();
    pending ??= { charset: charset.toLowerCase(), octets: [] };
    pending.octets.push(decodeWord(encoding, text));
    last = match.index + whole.length;
  }
  flush();
  return out + value.slice(last);
}

function decodeWord(encoding: string, text: string): Buffer {
  if (encoding.toLowerCase() === 'b') return decodeBase64(Buffer.from(text, 'latin1'));
  return decodeQuotedPrintable(Buffer.from(text.replaceAll('_', '=20'), 'utf8'));
}
