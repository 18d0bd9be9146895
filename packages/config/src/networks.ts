import { BlockList, isIP } from 'node:net';

/** A set of networks, as in `10.0.0.0/8`, `fd00::/8` or a single address. */
export class Networks {
  readonly #list = new BlockList();
  readonly size: number;

  /** @throws Error that names the entry which is no network. */
  constructor(entries: readonly string[]) {
    for (const entry of entries) {
      // An empty prefix must not be read as 0, which would be the whole internet.
      const [, address = '', prefix] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(entry) ?? [];
      const version = isIP(address);
      const most = version === 4 ? 32 : 128;
      const bits = Number(prefix ?? most);
      if (version === 0 || bits > most) {
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
