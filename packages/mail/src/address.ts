/** What may stand bare in a label or local part outside ASCII: no C1 controls, no lone surrogates (RFC 6531 §3.3). */
const NON_ASCII = '\\u00a0-\\ud7ff\\ue000-\\u{10ffff}';
const ATOM = `[A-Za-z0-9!#$%&'*+\\-/=?^_\`{|}~${NON_ASCII}]+`;
const DOT_STRING = new RegExp(`^${ATOM}(?:\\.${ATOM})*$`, 'u');
const QUOTED = new RegExp(`^"(?:[\\x20\\x21\\x23-\\x5b\\x5d-\\x7e${NON_ASCII}]|\\\\[\\x20-\\x7e])*"$`, 'u');
const LABEL = new RegExp(`^[A-Za-z0-9${NON_ASCII}](?:[A-Za-z0-9_\\-${NON_ASCII}]*[A-Za-z0-9${NON_ASCII}])?$`, 'u');
const SERVICE_LABEL = /^_[A-Za-z0-9_-]*[A-Za-z0-9]$/;
const GENERAL_LITERAL = /^[A-Za-z0-9-]*[A-Za-z0-9]:[\x21-\x5a\x5e-\x7e]+$/;
const ASCII = /^[\x00-\x7f]*$/;
const encoder = new TextEncoder();
const octets = (text: string) => (ASCII.test(text) ? text.length : encoder.encode(text).length);

/** A mailbox in its two parts. */
export interface Mailbox {
  /** As given, quotes included. */
  readonly local: string;
  /** In lower case; an address literal keeps its brackets. */
  readonly domain: string;
}

/**
 * Parses a mailbox without angle brackets (RFC 5321 §4.1.2, RFC 6531 §3.3), within the size limits of §4.5.3.1:
 * 64 octets before the @, 255 after, 254 together.
 * @returns undefined where it is none.
 */
export function parseMailbox(text: string): Mailbox | undefined {
  const at = text.lastIndexOf('@');
  if (at < 1 || octets(text) > 254) return undefined;
  const local = text.slice(0, at);
  const domain = text.slice(at + 1).toLowerCase();
  if (octets(local) > 64 || !(DOT_STRING.test(local) || QUOTED.test(local)) || !isDomain(domain)) return undefined;
  return { local, domain };
}

/** @returns whether the text is a domain name or an address literal (RFC 5321 §4.1.2, §4.1.3). */
export function isDomain(domain: string): boolean {
  if (domain.startsWith('[')) return isLiteral(domain);
  return octets(domain) <= 255 && domain.split('.').every(isLabel);
}

/** A U-label is measured by its A-label, which has at least one octet a character after `xn--` (RFC 5890 §2.3.2.1). */
function isLabel(label: string): boolean {
  if (ASCII.test(label)) return label.length <= 63 && (LABEL.test(label) || SERVICE_LABEL.test(label));
  return [...label].length <= 59 && LABEL.test(label);
}

function isLiteral(text: string): boolean {
  if (!text.endsWith(']')) return false;
  const inner = text.slice(1, -1);
  if (isIPv4(inner)) return true;
  if (/^ipv6:/i.test(inner)) return isIPv6(inner.slice(5));
  return GENERAL_LITERAL.test(inner);
}

/** @returns whether the text is a dotted-quad IPv4 address. */
export function isIPv4(text: string): boolean {
  return /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/.test(text);
}

/** @returns whether the text is an IPv6 address (RFC 4291 §2.2), without zone. */
export function isIPv6(text: string): boolean {
  const halves = text.split('::');
  if (halves.length > 2 || text.length > 45) return false;
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')));
  const tail = groups.at(-1);
  const embedded = tail?.includes('.') && !text.endsWith('::') ? groups.pop() : undefined;
  if (embedded !== undefined && !isIPv4(embedded)) return false;
  if (!groups.every((group) => /^[0-9A-Fa-f]{1,4}$/.test(group))) return false;
  const count = groups.length + (embedded === undefined ? 0 : 2);
  return halves.length === 2 ? count < 8 : count === 8;
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
  return !ASCII.test(address);
}

/** Matches a domain against `*`, `example.com` or `*.example.com` (any depth below, not itself), whatever the case. */
export function matchDomain(pattern: string, domain: string): boolean {
  if (pattern === '*') return true;
  const wanted = pattern.toLowerCase();
  const name = domain.toLowerCase();
  return wanted.startsWith('*.') ? name.length >= wanted.length && name.endsWith(wanted.slice(1)) : name === wanted;
}
