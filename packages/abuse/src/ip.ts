/** An address as numbers: one word of 32 bits for IPv4, four for IPv6, the most significant first. */
export interface Address {
  readonly version: 4 | 6;
  readonly words: readonly number[];
}

/** All addresses that share their first bits. */
export interface Network extends Address {
  /** Bits that count: up to 32 or 128. */
  readonly bits: number;
}

const widthOf = (version: 4 | 6) => (version === 4 ? 32 : 128);

/** @returns an address as sockets tell it; one of IPv4 within IPv6 is the IPv4 address it stands for. undefined where it is none. */
export function parseAddress(text: string): Address | undefined {
  if (!text.includes(':')) {
    const word = parseV4(text);
    return word === undefined ? undefined : { version: 4, words: [word] };
  }
  const words = parseV6(text);
  if (!words) return undefined;
  // IPv4-mapped (RFC 4291 §2.5.5.2).
  const mapped = words[0] === 0 && words[1] === 0 && words[2] === 0xffff;
  return mapped ? { version: 4, words: [words[3] as number] } : { version: 6, words };
}

function parseV4(text: string): number | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let word = 0;
  for (const part of parts) {
    const octet = Number(part);
    if (!/^\d{1,3}$/.test(part) || octet > 255 || (part.length > 1 && part[0] === '0')) return undefined;
    word = word * 256 + octet;
  }
  return word;
}

function parseV6(text: string): number[] | undefined {
  // A zone says which of our own interfaces it came by, and nothing of who it is.
  const [address = ''] = text.split('%');
  const [head = '', tail, ...more] = address.split('::');
  if (more.length > 0) return undefined;
  const before = groupsOf(head);
  const after = tail === undefined ? [] : groupsOf(tail);
  if (!before || !after) return undefined;
  const missing = 8 - before.length - after.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [...before, ...Array<number>(missing).fill(0), ...after];
  return [0, 2, 4, 6].map((at) => (groups[at] as number) * 0x10000 + (groups[at + 1] as number));
}

function groupsOf(text: string): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [at, part] of parts.entries()) {
    if (at === parts.length - 1 && part.includes('.')) {
      const word = parseV4(part);
      if (word === undefined) return undefined;
      groups.push(Math.floor(word / 0x10000), word % 0x10000);
    } else if (/^[0-9a-f]{1,4}$/i.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

/** @returns a network as in `192.0.2.0/24`, or a single address; bits beyond the prefix are dropped. undefined where it is none. */
export function parseNetwork(text: string): Network | undefined {
  const [, address = '', prefix] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text.trim()) ?? [];
  const parsed = parseAddress(address);
  if (!parsed) return undefined;
  const mapped = address.includes(':') && parsed.version === 4;
  const bits = prefix === undefined ? widthOf(parsed.version) : Number(prefix) - (mapped ? 96 : 0);
  return bits < 0 || bits > widthOf(parsed.version) ? undefined : networkOf(parsed, bits);
}

/** @returns the network that an address is in. */
export function networkOf({ version, words }: Address, bits: number): Network {
  return {
    version,
    bits,
    words: words.map((word, at) => {
      const kept = Math.min(32, Math.max(0, bits - at * 32));
      return kept === 0 ? 0 : (word & (0xffffffff << (32 - kept))) >>> 0;
    }),
  };
}

/** @returns the network as text: the shortest form (RFC 5952), without a prefix where it is one address. */
export function formatNetwork({ version, words, bits }: Network): string {
  const address = version === 4 ? formatV4(words[0] as number) : formatV6(words);
  return bits === widthOf(version) ? address : `${address}/${bits}`;
}

const formatV4 = (word: number) => [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255].join('.');

function formatV6(words: readonly number[]): string {
  const groups = words.flatMap((word) => [word >>> 16, word & 0xffff]);
  let [best, length] = [-1, 1];
  for (let at = 0; at < 8; at += 1) {
    let end = at;
    while (end < 8 && groups[end] === 0) end += 1;
    if (end - at > length) [best, length] = [at, end - at];
  }
  const hex = (list: readonly number[]) => list.map((group) => group.toString(16)).join(':');
  return best < 0 ? hex(groups) : `${hex(groups.slice(0, best))}::${hex(groups.slice(best + length))}`;
}

/** What counts as one address: the network of so many bits. */
export interface Prefixes {
  readonly ipv4: number;
  readonly ipv6: number;
}

/** @returns what an address counts as, as text; undefined where it is no address. */
export function prefixOf(text: string | undefined, { ipv4, ipv6 }: Prefixes): string | undefined {
  const address = text === undefined ? undefined : parseAddress(text);
  return address && formatNetwork(networkOf(address, address.version === 4 ? ipv4 : ipv6));
}
