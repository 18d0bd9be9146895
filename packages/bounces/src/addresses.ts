/** An address as reports show it; a source route and a gateway's prefix stand before it at times. */
const ADDRESS = /[^\s<>()[\]",;:'`\\]{1,64}@(?:[a-z0-9_](?:[a-z0-9_-]{0,62})\.?){1,12}/i;
const ALL = new RegExp(ADDRESS.source, 'gi');

/** @returns the first address in a text, in the form it has there. */
export function addressIn(text: string): string | undefined {
  // @relay.example:user@host is the address behind the last colon (RFC 5321 appendix C).
  const plain = text
    .slice(0, 2_000)
    .replace(/^[^a-z0-9]*@[^\s:]+:/i, '')
    .replace(/\bmailto:/gi, '')
    .replace(/\+3D/g, '=');
  const quoted = /"[^"\r\n]{1,62}"@[a-z0-9.-]+/i.exec(plain)?.[0];
  return (quoted ?? ADDRESS.exec(plain)?.[0])?.replace(/\.$/, '');
}

/** @returns every address in a text, once each. */
export function addressesIn(text: string): string[] {
  return [...new Set((text.slice(0, 20_000).match(ALL) ?? []).map((one) => one.replace(/\.$/, '')))];
}

export const same = (one: string, other: string) => one.toLowerCase() === other.toLowerCase();
