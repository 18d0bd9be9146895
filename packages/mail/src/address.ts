const ATEXT = /^[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\u0080-\u{10ffff}]+(?:\.[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\u0080-\u{10ffff}]+)*$/u;
const QUOTED = /^"(?:[\x20\x21\x23-\x5b\x5d-\x7e\u0080-\u{10ffff}]|\\[\x20-\x7e])*"$/u;
const LABEL = /^[A-Za-z0-9\u0080-\u{10ffff}](?:[A-Za-z0-9_\-\u0080-\u{10ffff}]*[A-Za-z0-9\u0080-\u{10ffff}])?$/u;
const LITERAL = /^\[(?:\d{1,3}(?:\.\d{1,3}){3}|IPv6:[0-9A-Fa-f:.]{2,45}|[A-Za-z0-9-]+:[\x21-\x5a\x5e-\x7e]+)\]$/;
const encoder = new TextEncoder();
const octets = (text: string) => (/^[\x00-\x7f]*$/.test(text) ? text.length : encoder.encode(text).length);

/** A mailbox in its two parts. */
export interface Mailbox {
  /** As given, quotes included. */
  readonly local: string;
  /** In lower case; an address literal keeps its brackets. */
  readonly domain: string;
}

/**
 * Parses a mailbox without angle brackets (RFC 5321 §4.1.2, RFC 6531 §3.3), within the size limits of §4.5.3.1.
 * @returns undefined where it is none.
 */
export function parseMailbox(text: string): Mailbox | undefined {
  const at = text.lastIndexOf('@');
  if (at < 1 || octets(text) > 254) return undefined;
  const local = text.slice(0, at);
  const domain = text.slice(at + 1).toLowerCase();
  if (octets(local) > 64 || !(ATEXT.test(local) || QUOTED.test(local)) || !isDomain(domain)) return undefined;
  return { local, domain };
}

/** @returns whether the text is a domain name or an address literal. */
export function isDomain(domain: string): boolean {
  if (domain.startsWith('[')) return LITERAL.test(domain);
  if (octets(domain) > 255) return false;
  return domain.split('.').every((label) => label.length > 0 && octets(label) <= 63 && LABEL.test(label));
}

/** @returns the mailbox with its domain in lower case, or undefined. */
export function normaliseAddress(text: string): string | undefined {
  const mailbox = parseMailbox(text);
  return mailbox && `${mailbox.local}@${mailbox.domain}`;
}

/** @returns the domain in lower case, '' where there is none. */
export function domainOf(address: string): string {
  const at = address.lastIndexOf('@');
  return at < 0 ? '' : address.slice(at + 1).toLowerCase();
}

/** @returns whether an address needs SMTPUTF8 (RFC 6531). */
export function isInternational(address: string): boolean {
  return /[^\x00-\x7f]/.test(address);
}

/** Matches a domain against `*`, `example.com` or `*.example.com` (any depth below, not itself). */
export function matchDomain(pattern: string, domain: string): boolean {
  if (pattern === '*') return true;
  const wanted = pattern.toLowerCase();
  return wanted.startsWith('*.') ? domain.endsWith(wanted.slice(1)) : domain === wanted;
}
