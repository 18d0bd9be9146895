import { isInternational } from './address.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const XTEXT = /^(?:[\x21-\x2a\x2c-\x3c\x3e-\x7e]|\+[0-9A-Fa-f]{2})*$/;
const ADDRESS_TYPE = /^[A-Za-z0-9][A-Za-z0-9-]*$/;

/** Encodes xtext (RFC 3461 §4): printable US-ASCII but `+` and `=` stays, all else is `+HH` of its UTF-8 octets. */
export function encodeXtext(text: string): string {
  let out = '';
  for (const octet of encoder.encode(text)) {
    const plain = octet >= 0x21 && octet <= 0x7e && octet !== 0x2b && octet !== 0x3d;
    out += plain ? String.fromCharCode(octet) : `+${octet.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return out;
}

/** @returns the decoded text, or undefined where it is not xtext or hides control characters or broken UTF-8. */
export function decodeXtext(text: string): string | undefined {
  if (!XTEXT.test(text)) return undefined;
  const octets: number[] = [];
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === '+') {
      octets.push(Number.parseInt(text.slice(at + 1, at + 3), 16));
      at += 2;
    } else octets.push(text.charCodeAt(at));
  }
  return decodeUtf8(Uint8Array.from(octets));
}

function decodeUtf8(octets: Uint8Array): string | undefined {
  try {
    const decoded = decoder.decode(octets);
    return isPrintable(decoded) ? decoded : undefined;
  } catch {
    return undefined;
  }
}

const isPrintable = (text: string) => !/[\x00-\x1f\x7f-\x9f]/.test(text);

/**
 * Parses the value of an ORCPT parameter: `addr-type;xtext` (RFC 3461 §4.2), or `utf-8;` with `\x{HEX}` escapes or bare
 * UTF-8 (RFC 6533 §3).
 * @returns `addr-type;address` decoded, the form of `Recipient.orcpt`; undefined where it is malformed or over 500
 *   octets.
 */
export function parseOrcpt(value: string): string | undefined {
  const semicolon = value.indexOf(';');
  if (semicolon < 1 || semicolon === value.length - 1 || encoder.encode(value).length > 500) return undefined;
  const type = value.slice(0, semicolon);
  const rest = value.slice(semicolon + 1);
  if (!ADDRESS_TYPE.test(type)) return undefined;
  const address = type.toLowerCase() === 'utf-8' ? decodeUtf8Address(rest) : decodeXtext(rest);
  return address === undefined ? undefined : `${type};${address}`;
}

/**
 * @param orcpt as in `Recipient.orcpt`.
 * @param smtputf8 whether the peer takes UTF-8 in commands.
 * @returns the value of an ORCPT parameter.
 */
export function formatOrcpt(orcpt: string, smtputf8 = false): string {
  const { type, address } = splitOrcpt(orcpt);
  if (type.toLowerCase() !== 'utf-8') return `${type};${encodeXtext(address)}`;
  return `${type};${encodeUtf8Address(address, smtputf8)}`;
}

/** @returns address type and address of a decoded ORCPT; the type is rfc822 where none is named. */
export function splitOrcpt(orcpt: string): { readonly type: string; readonly address: string } {
  const semicolon = orcpt.indexOf(';');
  if (semicolon < 0) return { type: isInternational(orcpt) ? 'utf-8' : 'rfc822', address: orcpt };
  return { type: orcpt.slice(0, semicolon), address: orcpt.slice(semicolon + 1) };
}

/**
 * The utf-8 address type of RFC 6533 §3: `\x{HEX}` for what xtext would escape.
 * @param unicode keep what is not ASCII as it is (utf-8-addr-unitext), else escape it (utf-8-addr-xtext).
 */
export function encodeUtf8Address(address: string, unicode: boolean): string {
  const escaped = unicode ? /[\x00-\x20\x7f-\x9f+=\\]/gu : /[^\x21-\x2a\x2c-\x3c\x3e-\x5b\x5d-\x7e]/gu;
  return address.replace(escaped, (char) => `\\x{${char.codePointAt(0)?.toString(16).toUpperCase().padStart(2, '0')}}`);
}

function decodeUtf8Address(text: string): string | undefined {
  if (
    !/^(?:[\x21-\x2a\x2c-\x3c\x3e-\x5b\x5d-\x7e\u00a0-\ud7ff\ue000-\u{10ffff}]|\\x\{[0-9A-Fa-f]{2,6}\})*$/u.test(text)
  )
    return undefined;
  let valid = true;
  const decoded = text.replace(/\\x\{([0-9A-Fa-f]+)\}/g, (_, hex: string) => {
    const point = Number.parseInt(hex, 16);
    valid &&= point <= 0x10ffff && !(point >= 0xd800 && point <= 0xdfff);
    return valid ? String.fromCodePoint(point) : '';
  });
  return valid && isPrintable(decoded) ? decoded : undefined;
}
