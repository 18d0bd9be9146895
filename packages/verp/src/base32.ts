const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';

/** @returns octets in base32 (RFC 4648 §6), in lower case and without padding: it survives hosts that change the case. */
export function toBase32(octets: Buffer): string {
  let text = '';
  let bits = 0;
  let value = 0;
  for (const octet of octets) {
    value = (value << 8) | octet;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET[(value >>> bits) & 31];
    }
    value &= (1 << bits) - 1;
  }
  return bits > 0 ? text + ALPHABET[(value << (5 - bits)) & 31] : text;
}

/** @returns the octets, undefined where the text is not what `toBase32` makes of any, the case aside. */
export function fromBase32(text: string): Buffer | undefined {
  const octets: number[] = [];
  let bits = 0;
  let value = 0;
  for (const char of text.toLowerCase()) {
    const five = ALPHABET.indexOf(char);
    if (five < 0) return undefined;
    value = (value << 5) | five;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      octets.push((value >>> bits) & 255);
    }
    value &= (1 << bits) - 1;
  }
  // Left-over bits are zero, so that each run of octets has one form.
  return bits < 5 && value === 0 ? Buffer.from(octets) : undefined;
}
