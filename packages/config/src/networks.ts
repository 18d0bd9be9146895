import { BlockList, isIP } from 'node:net';

/** A set of networks, as in `10.0.0.0/8`, `fd00::/8` or a single address. */
export class Networks {
  readonly #list = new BlockList();
  readonly size: number;

  /** @throws Error that names the entry which is no network. */
  constructor(entries: readonly string[]) {
    for (const entry of entries) {
      const [address = '', prefix] = entry.split('/');
      const version = isIP(address);
      const bits = prefix === undefined ? (version === 4 ? 32 : 128) : Number(prefix);
      if (version === 0 || !Number.isInteger(bits) || bits < 0 || bits > (version === 4 ? 32 : 128)) {
        throw new Error(`"${entry}" is no network; write an address with a prefix, such as 10.0.0.0/8`);
      }
      this.#list.addSubnet(address, bits, version === 4 ? 'ipv4' : 'ipv6');
    }
    this.size = entries.length;
  }

  has(address: string | undefined): boolean {
    if (!address || this.size === 0) return false;
    const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
    const version = isIP(plain);
    return version !== 0 && this.#list.check(plain, version === 4 ? 'ipv4' : 'ipv6');
  }
}
