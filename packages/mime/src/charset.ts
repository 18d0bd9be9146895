import { isUtf8 } from 'node:buffer';
import { TextDecoder } from 'node:util';

/** Labels that say little: what bears them is often UTF-8 all the same. */
const VAGUE = new Set(['', 'us-ascii', 'ascii', 'ansi_x3.4-1968', 'unknown-8bit', 'x-unknown', 'default', '8bit']);
/** Decoders cost tens of microseconds to make, and messages name few charsets; strangers' labels are not kept. */
const KEPT = 64;
const decoders = new Map<string, TextDecoder | undefined>();

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
  if (decoders.has(name)) return decoders.get(name);
  let decoder: TextDecoder | undefined;
  try {
    // RFC 2231 appends a language to the name: charset*lang.
    decoder = new TextDecoder(name.replace(/\*.*$/, ''), { ignoreBOM: false });
  } catch {
    decoder = undefined;
  }
  if (decoders.size < KEPT) decoders.set(name, decoder);
  return decoder;
}
