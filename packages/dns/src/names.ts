import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import { isDomain } from '@waypost/mail';

/**
 * @param domain as in a forward-path or a configuration file: ASCII or international, with or without the final dot.
 * @returns it in lower case as A-labels (RFC 5890), without the final dot; undefined where it is no domain name.
 */
export function toAsciiDomain(domain: string): string | undefined {
  const name = domain.endsWith('.') ? domain.slice(0, -1) : domain;
  if (name.startsWith('[') || !isDomain(name)) return undefined;
  // Only names outside ASCII go through the URL parser: it would read `0x7f.1` as an address.
  const ascii = /^[\x00-\x7f]*$/.test(name) ? name.toLowerCase() : domainToASCII(name);
  const fits = ascii.length > 0 && ascii.length <= 253 && ascii.split('.').every((label) => label.length <= 63);
  return fits && isDomain(ascii) && !isNumeric(ascii) ? ascii : undefined;
}

/** No top-level domain is numeric (RFC 3696 §2): such a name is an address in some notation, not a place for mail. */
const isNumeric = (name: string) => /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/i.test(name);

/**
 * @returns the address of a literal such as `[192.0.2.1]` or `[IPv6:2001:db8::1]`, or of a bare address; else
 *   undefined.
 */
export function literalAddress(host: string): { readonly address: string; readonly family: 4 | 6 } | undefined {
  const inner = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1).replace(/^ipv6:/i, '') : host;
  const family = isIP(inner);
  return family === 4 || family === 6 ? { address: inner, family } : undefined;
}
