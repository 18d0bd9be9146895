const EQUALS = 0x3d;
const SPACE = 0x20;
const TAB = 0x09;
const CR = 0x0d;
const LF = 0x0a;
/** Padded pieces of one body decoded each for itself; more are none that anyone wrote. */
const PIECES = 1_000;

/**
 * Decodes base64 (RFC 2045 §6.8) as readers do: what is not of the alphabet is passed over, and what follows padding is
 * decoded too, so that nothing hides behind it. Never throws.
 */
export function decodeBase64(octets: Buffer): Buffer {
  const given = octets.toString('latin1');
  // Node takes these for digits of the alphabet for addresses (RFC 4648 §5), which mail does not use.
  const text = /[-_]/.test(given) ? given.replace(/[-_]+/g, '') : given;
  const padding = text.indexOf('=');
  if (padding < 0 || !/[A-Za-z0-9+/]/.test(text.slice(padding))) return Buffer.from(text, 'base64');
  const out = Buffer.allocUnsafe(Math.ceil(text.length * 0.75) + 3);
  let length = 0;
  let at = 0;
  for (let piece = 0; piece < PIECES && at < text.length; piece++) {
    const next = text.indexOf('=', at);
    const end = next < 0 ? text.length : next;
    if (end > at) length += out.write(text.slice(at, end), length, 'base64');
    at = end + 1;
  }
  if (at < text.length) length += out.write(text.slice(at).replaceAll('=', ''), length, 'base64');
  return out.subarray(0, length);
}

/** Decodes quoted-printable (RFC 2045 §6.7); what is no valid escape stays as it is. Never throws. */
export function decodeQuotedPrintable(octets: Buffer): Buffer {
  const out = Buffer.allocUnsafe(octets.length);
  let length = 0;
  // Blanks at the end of a line were added on the way (rule 3): they count only once something follows them.
  let blanks = 0;
  for (let at = 0; at < octets.length; at++) {
    const octet = octets[at] as number;
    if (octet === SPACE || octet === TAB) blanks += 1;
    else if (octet === CR || octet === LF) {
      length -= blanks;
      blanks = 0;
    } else blanks = 0;
    if (octet !== EQUALS) {
      out[length++] = octet;
      continue;
    }
    const value = hex(octets[at + 1]) * 16 + hex(octets[at + 2]);
    if (value >= 0) {
      out[length++] = value;
      at += 2;
      continue;
    }
    const next = softBreak(octets, at + 1);
    if (next < 0) out[length++] = octet;
    else at = next - 1;
  }
  return out.subarray(0, length - blanks);
}

/** @returns the offset after a soft line break, blanks before it included, or -1. */
function softBreak(octets: Buffer, from: number): number {
  let at = from;
  // A line has 76 octets at most: longer blanks are no soft break, and looking further would cost a square.
  while ((octets[at] === SPACE || octets[at] === TAB) && at - from < 80) at += 1;
  if (at === octets.length) return at;
  if (octets[at] === CR && octets[at + 1] === LF) return at + 2;
  return octets[at] === LF || octets[at] === CR ? at + 1 : -1;
}

/** @returns the digit's value; so far below zero where it is none that no other digit mends it. */
function hex(octet: number | undefined): number {
  if (octet === undefined) return -1_000;
  if (octet >= 0x30 && octet <= 0x39) return octet - 0x30;
  const letter = octet | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1_000;
}
