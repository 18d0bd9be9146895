/** Encodes xtext (RFC 3461 §4): printable US-ASCII but `+` and `=` stays, all else is `+HH` of its UTF-8 octets. */
export function encodeXtext(text: string): string {
  let out = '';
  for (const octet of new TextEncoder().encode(text)) {
    const plain = octet >= 0x21 && octet <= 0x7e && octet !== 0x2b && octet !== 0x3d;
    out += plain ? String.fromCharCode(octet) : `+${octet.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return out;
}

/** @returns the decoded text, or undefined where it is not xtext. */
export function decodeXtext(text: string): string | undefined {
  if (!/^(?:[\x21-\x2a\x2c-\x3c\x3e-\x7e]|\+[0-9A-F]{2})*$/.test(text)) return undefined;
  const octets: number[] = [];
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === '+') {
      octets.push(Number.parseInt(text.slice(at + 1, at + 3), 16));
      at += 2;
    } else octets.push(text.charCodeAt(at));
  }
  const decoded = new TextDecoder().decode(Uint8Array.from(octets));
  return /[\x00-\x1f\x7f]/.test(decoded) ? undefined : decoded;
}
