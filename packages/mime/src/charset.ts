import { isUtf8 } from 'node:buffer';
import { TextDecoder } from 'node:util';

/** Labels that say little: what bears them is often UTF-8 all the same. */
const VAGUE = new Set(['', 'us-ascii', 'ascii', 'ansi_x3.4-1968', 'unknown-8bit', 'x-unknown', 'default', '8bit']);
/** Decoders cost tens of microseconds to make. There are some 200 labels; what is none is not kept, and keeps no other out. */
const decoders = new Map<string, TextDecoder>();
const LONGEST = 60;

/**
 * Text of octets in a charset as MIME names it. Never throws: what is no charset is read as UTF-8 where it is valid
 * UTF-8, else as Windows-1252, as browsers do.
 */
export function decodeCharset(octets: Buffer, label = ''): string {
  const name = label.trim().toLowerCase();
  const decoder = VAGUE.has(name) ? undefined : decoderOf(name);
  if (decoder) return decoder.decode(octets);
  return isUtf8(octets) ? octets.toString('utf8') : (decoderOf('windows-1252')?.decode(octets) ?? '');
}

function decoderOf(name: string): TextDecoder | undefined {
  // RFC 2231 appends a language to the name: charset*lang.
  const [charset = ''] = name.slice(0, LONGEST).split('*');
  const known = decoders.get(charset);
  if (known) return known;
  try {
    const decoder = new TextDecoder(charset, { ignoreBOM: false });
    decoders.set(charset, decoder);
    return decoder;
  } catch {
    return undefined;
  }
}
