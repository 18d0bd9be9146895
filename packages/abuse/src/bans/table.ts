import { type Address, formatNetwork, type Network, networkOf, parseAddress, parseNetwork } from '../ip.js';

/** Networks that are banned and until when, for look-ups at each connection: as many steps as there are prefix lengths in use. */
export class BanTable {
  readonly #byPrefix = new Map<string, { readonly bits: number; readonly version: 4 | 6; till: Map<string, number> }>();
  #size = 0;

  /** @param most entries kept; past it the oldest go, which Redis still has. */
  constructor(private readonly most: () => number) {}

  get size(): number {
    return this.#size;
  }

  /** @param till ms since the epoch; what lies in the past takes the network off. */
  set(network: string, till: number, now = Date.now()): void {
    const parsed = parseNetwork(network);
    if (!parsed) return;
    const entries = this.#entries(parsed);
    if (entries.delete(network)) this.#size -= 1;
    if (till <= now) return;
    entries.set(network, till);
    this.#size += 1;
    if (this.#size > this.most()) this.#dropOldest();
  }

  /** @returns until when an address is banned, ms since the epoch; undefined where it is not. */
  find(address: string | undefined, now = Date.now()): number | undefined {
    if (this.#size === 0 || address === undefined) return undefined;
    const parsed = parseAddress(address);
    if (!parsed) return undefined;
    let found: number | undefined;
    for (const { bits, version, till } of this.#byPrefix.values()) {
      if (version !== parsed.version) continue;
      const until = till.get(key(parsed, bits));
      if (until !== undefined && until > now && until > (found ?? 0)) found = until;
    }
    return found;
  }

  /** Takes these alone. */
  replace(bans: readonly (readonly [string, number])[]): void {
    this.#byPrefix.clear();
    this.#size = 0;
    for (const [network, till] of bans) this.set(network, till);
  }

  /** Forgets what has ended. */
  prune(now = Date.now()): void {
    for (const [prefix, { till }] of this.#byPrefix) {
      for (const [network, until] of till) {
        if (until > now) continue;
        till.delete(network);
        this.#size -= 1;
      }
      if (till.size === 0) this.#byPrefix.delete(prefix);
    }
  }

  #entries({ version, bits }: Network): Map<string, number> {
    const prefix = `${version}/${bits}`;
    const known = this.#byPrefix.get(prefix) ?? { bits, version, till: new Map<string, number>() };
    this.#byPrefix.set(prefix, known);
    return known.till;
  }

  #dropOldest(): void {
    for (const { till } of this.#byPrefix.values()) {
      const oldest = till.keys().next().value;
      if (oldest === undefined) continue;
      till.delete(oldest);
      this.#size -= 1;
      return;
    }
  }
}

const key = (address: Address, bits: number) => formatNetwork(networkOf(address, bits));
