import type { Command, Executor } from '@waypost/redis';

const SUPPRESSIONS = 'wp:suppressions';

/** Why an address is never attempted. */
export interface Suppression {
  readonly address: string;
  readonly reason: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** Recipients never attempted; addresses are compared in lower case. */
export class SuppressionStore {
  constructor(private readonly executor: Executor) {}

  async add(suppression: Suppression): Promise<void> {
    const { address, ...rest } = suppression;
    await this.executor.exec([{ name: 'hset', args: [SUPPRESSIONS, address.toLowerCase(), JSON.stringify(rest)] }]);
  }

  async remove(address: string): Promise<boolean> {
    const [removed] = await this.executor.exec([{ name: 'hdel', args: [SUPPRESSIONS, address.toLowerCase()] }]);
    return removed === 1;
  }

  /** Whether there is any at all: with none, no look-up is made. */
  count(): Command {
    return { name: 'hlen', args: [SUPPRESSIONS] };
  }

  /** @returns those of the addresses that are suppressed. */
  async find(addresses: readonly string[]): Promise<Map<string, Suppression>> {
    const found = new Map<string, Suppression>();
    if (addresses.length === 0) return found;
    const keys = addresses.map((address) => address.toLowerCase());
    const [replies] = (await this.executor.exec([{ name: 'hmget', args: [SUPPRESSIONS, ...keys] }])) as [
      (string | null)[],
    ];
    replies.forEach((text, at) => {
      const address = addresses[at];
      if (text && address) found.set(address, { address, ...(JSON.parse(text) as Omit<Suppression, 'address'>) });
    });
    return found;
  }
}
