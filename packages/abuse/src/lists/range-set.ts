import { type Address, type Network, parseAddress } from '../ip.js';

/** A set of networks that is asked often: sorted ranges without overlap, found by halving. */
export class RangeSet {
  readonly #v4: { readonly starts: Uint32Array; readonly ends: Uint32Array };
  /** IPv6 addresses as 32 hex digits, which sort as the numbers do. */
  readonly #v6: { readonly starts: readonly string[]; readonly ends: readonly string[] };
  /** Networks it was made of. */
  readonly size: number;

  constructor(networks: readonly Network[]) {
    const v4 = merge(
      networks.filter(({ version }) => version === 4).map(({ words, bits }) => rangeV4(words[0] as number, bits)),
      (end) => end + 1,
    );
    const v6 = merge(
      networks.filter(({ version }) => version === 6).map(rangeV6),
      // Ranges that only touch stay two.
      (end) => end,
    );
    this.#v4 = { starts: Uint32Array.from(v4, ([start]) => start), ends: Uint32Array.from(v4, ([, end]) => end) };
    this.#v6 = { starts: v6.map(([start]) => start), ends: v6.map(([, end]) => end) };
    this.size = networks.length;
  }

  has(address: string | undefined): boolean {
    if (this.size === 0 || address === undefined) return false;
    const parsed = parseAddress(address);
    if (!parsed) return false;
    if (parsed.version === 4) return within(this.#v4.starts, this.#v4.ends, parsed.words[0] as number);
    return within(this.#v6.starts, this.#v6.ends, hex(parsed));
  }
}

type Range<T> = readonly [start: T, end: T];

function rangeV4(start: number, bits: number): Range<number> {
  return [start, start + 2 ** (32 - bits) - 1];
}

function rangeV6({ words, bits, version }: Network): Range<string> {
  const last = words.map((word, at) => {
    const free = 32 - Math.min(32, Math.max(0, bits - at * 32));
    return (word + 2 ** free - 1) >>> 0;
  });
  return [hex({ words, version }), hex({ words: last, version })];
}

const hex = ({ words }: Address) => words.map((word) => word.toString(16).padStart(8, '0')).join('');

/** @param next the first start that does not belong to a range which ends so. */
function merge<T extends number | string>(ranges: readonly Range<T>[], next: (end: T) => T): Range<T>[] {
  const merged: [T, T][] = [];
  for (const [start, end] of [...ranges].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))) {
    const last = merged.at(-1);
    if (last && start <= next(last[1])) {
      if (end > last[1]) last[1] = end;
    } else merged.push([start, end]);
  }
  return merged;
}

interface Sorted<T> {
  readonly length: number;
  readonly [at: number]: T;
}

function within<T extends number | string>(starts: Sorted<T>, ends: Sorted<T>, value: T): boolean {
  let [low, high] = [0, starts.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((starts[middle] as T) <= value) low = middle + 1;
    else high = middle;
  }
  return low > 0 && value <= (ends[low - 1] as T);
}
