import { domainOf } from '@waypost/mail';
import type { Command, Executor } from '@waypost/redis';
import { suppressScript } from './script.js';

const LIST = 'wp:suppressions';
const EXPIRIES = 'wp:suppressions:expiry';
const INCIDENTS = 'wp:suppressions:incidents:';
/** Between tenant and address in a field; neither can have one. */
const SEPARATOR = '\t';
const TEXT_MAX = 200;

/** Why an address is never attempted. */
export interface Suppression {
  /** An address in lower case, or `@example.com` for all of a domain. */
  readonly address: string;
  /** Only this tenant's mail; everybody's where absent. */
  readonly tenant?: string;
  /** A cause as bounces have it (`user_unknown` …), or `manual`. */
  readonly cause: string;
  /** What the remote said, or who put it here and why. */
  readonly reason?: string;
  /** The message it came from. */
  readonly message?: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Milliseconds since the epoch; absent for until it is taken off. */
  readonly expires?: number;
}

/** What came of an addition. */
export type Added = 'added' | 'not_yet' | 'full' | 'kept';

export interface SuppressOptions {
  readonly maxEntries: number;
  /** It must have happened so often within so many ms. */
  readonly after?: { readonly limit: number; readonly period: number } | undefined;
  /** Put over an entry that would last longer. */
  readonly replace?: boolean;
}

/** Recipients never attempted; addresses are compared in lower case. */
export class SuppressionStore {
  constructor(private readonly executor: Executor) {}

  /** @returns the command that adds an entry, for a transaction of the caller's own. */
  add(entry: Suppression, options: SuppressOptions): Command {
    const { address, tenant, ...rest } = entry;
    const field = fieldOf(address, tenant);
    const { after, maxEntries, replace } = options;
    const value = JSON.stringify({ ...rest, ...(rest.reason ? { reason: rest.reason.slice(0, TEXT_MAX) } : {}) });
    return {
      name: suppressScript.name,
      script: suppressScript,
      args: [
        ...[LIST, EXPIRIES, INCIDENTS + field, field, value, entry.expires ?? 0, maxEntries, entry.at],
        ...[after?.limit ?? 1, after?.period ?? 0, replace ? 1 : 0, entry.message ?? entry.at],
      ],
    };
  }

  /** Adds an entry. */
  async put(entry: Suppression, options: SuppressOptions): Promise<Added> {
    const [reply] = (await this.executor.exec([this.add(entry, options)])) as [number];
    return ADDED[reply] ?? 'kept';
  }

  /** Adds many in one round trip, in order. */
  async putMany(entries: readonly Suppression[], options: SuppressOptions): Promise<Added[]> {
    const replies = await this.executor.exec(entries.map((entry) => this.add(entry, options)));
    return replies.map((reply) => ADDED[reply as number] ?? 'kept');
  }

  /** @returns whether it was there. */
  async remove(address: string, tenant?: string): Promise<boolean> {
    const field = fieldOf(address, tenant);
    const [removed] = await this.executor.exec([
      { name: 'hdel', args: [LIST, field] },
      { name: 'zrem', args: [EXPIRIES, field] },
      { name: 'del', args: [INCIDENTS + field] },
    ]);
    return removed === 1;
  }

  /** @returns the entry for exactly this address, undefined where there is none. */
  async get(address: string, tenant?: string, now = Date.now()): Promise<Suppression | undefined> {
    const field = fieldOf(address, tenant);
    const [text] = (await this.executor.exec([{ name: 'hget', args: [LIST, field] }])) as [string | null];
    return text === null ? undefined : alive(decode(field, text), now);
  }

  /**
   * Goes through the list in no order.
   * @param cursor '0' at first, then what the last page gave; '0' there is the end.
   */
  async page(cursor: string, count: number, now = Date.now()): Promise<{ cursor: string; entries: Suppression[] }> {
    const [[next, flat]] = (await this.executor.exec([{ name: 'hscan', args: [LIST, cursor, 'COUNT', count] }])) as [
      [string, string[]],
    ];
    const entries = flat.flatMap((field, at) => {
      if (at % 2 === 1) return [];
      return alive(decode(field, flat[at + 1] as string), now) ?? [];
    });
    return { cursor: next, entries };
  }

  /** Whether there is any at all: with none, no look-up is made. */
  count(): Command {
    return { name: 'hlen', args: [LIST] };
  }

  /** @returns those of the addresses that are suppressed for a tenant's mail, by address or by domain; one round trip. */
  async find(addresses: readonly string[], tenant?: string, now = Date.now()): Promise<Map<string, Suppression>> {
    const found = new Map<string, Suppression>();
    if (addresses.length === 0) return found;
    const asked = addresses.flatMap((address) =>
      [address, `@${domainOf(address)}`].flatMap((name) => [
        { address, field: fieldOf(name) },
        ...(tenant ? [{ address, field: fieldOf(name, tenant) }] : []),
      ]),
    );
    const [replies] = (await this.executor.exec([
      { name: 'hmget', args: [LIST, ...asked.map(({ field }) => field)] },
    ])) as [(string | null)[]];
    replies.forEach((text, at) => {
      const { address, field } = asked[at] ?? { address: '', field: '' };
      const entry = text ? alive(decode(field, text), now) : undefined;
      if (entry && !found.has(address)) found.set(address, entry);
    });
    return found;
  }
}

const ADDED: Readonly<Record<number, Added>> = { 1: 'added', 0: 'not_yet', [-1]: 'full', 2: 'kept' };

const fieldOf = (address: string, tenant?: string) =>
  tenant ? `${tenant}${SEPARATOR}${address.toLowerCase()}` : address.toLowerCase();

function decode(field: string, text: string): Suppression {
  const [tenant, address] = field.includes(SEPARATOR)
    ? (field.split(SEPARATOR) as [string, string])
    : [undefined, field];
  return { address, ...(tenant ? { tenant } : {}), ...(JSON.parse(text) as Omit<Suppression, 'address' | 'tenant'>) };
}

const alive = (entry: Suppression, now: number) =>
  entry.expires !== undefined && entry.expires <= now ? undefined : entry;
