import { type Loaded, TtlCache } from './cache.js';
import type { DnsLookup } from './lookup.js';

/** What each kind of record is given as. */
export interface RecordKinds {
  /** Each record as one text, its strings joined. */
  readonly TXT: string;
  readonly A: string;
  readonly AAAA: string;
  readonly MX: { readonly exchange: string; readonly priority: number };
  readonly PTR: string;
}

export type RecordKind = keyof RecordKinds;

export interface RecordSettings {
  /** Entries kept at most. */
  readonly size: number;
  /** ms that records without a TTL of their own hold. */
  readonly ttl: number;
  /** ms that it is remembered that there are none. */
  readonly negativeTtl: number;
  readonly failureTtl: number;
  /** ms past their time for which records serve while the name server fails. */
  readonly staleFor: number;
  readonly maxTtl: number;
}

/** Asks, and tells records or the code of why there are none; never rejects. */
export type Ask = <T>(
  question: () => Promise<readonly T[]>,
) => Promise<{ readonly records?: readonly T[]; readonly code?: string }>;

type Answer = { readonly records: readonly unknown[] } | { readonly code: string };

/**
 * Records of any name that strangers' mail makes us look at, in a cache of their own: what mail is delivered by is not driven
 * out by it.
 */
export class RecordCache {
  readonly #cache: TtlCache<Answer>;

  constructor(
    private readonly deps: { readonly lookup: DnsLookup; readonly ask: Ask; readonly now: () => number },
    private readonly settings: RecordSettings,
  ) {
    this.#cache = new TtlCache(settings, deps.now);
  }

  /** @throws Error with a `code`: ENOTFOUND where the name does not exist, ENODATA where it has none, others for now. */
  async get<K extends RecordKind>(name: string, kind: K): Promise<readonly RecordKinds[K][]> {
    const asked = name.toLowerCase().replace(/\.$/, '');
    const answer = await this.#cache.get(`${kind} ${asked}`, () => this.#load(asked, kind));
    if ('records' in answer) return answer.records as readonly RecordKinds[K][];
    throw Object.assign(new Error(`DNS has no ${kind} records of ${asked}: ${answer.code}`), { code: answer.code });
  }

  async #load(name: string, kind: RecordKind): Promise<Loaded<Answer>> {
    const { ttl, negativeTtl, failureTtl, maxTtl } = this.settings;
    const { records, code = 'ENODATA' } = await this.deps.ask<unknown>(() => this.#question(name, kind));
    if (!records) {
      const absent = code === 'ENOTFOUND' || code === 'ENODATA';
      return { value: { code }, ttl: absent ? negativeTtl : failureTtl, ...(absent ? {} : { failed: true }) };
    }
    if (kind !== 'A' && kind !== 'AAAA') return { value: { records }, ttl };
    const addresses = records as readonly { readonly address: string; readonly ttl: number }[];
    const least = Math.min(...addresses.map((one) => one.ttl * 1000));
    return {
      value: { records: addresses.map(({ address }) => address) },
      ttl: Math.min(maxTtl, Math.max(1_000, least)),
    };
  }

  #question(name: string, kind: RecordKind): Promise<readonly unknown[]> {
    const { lookup } = this.deps;
    if (kind === 'TXT') return lookup.txt(name);
    if (kind === 'MX') return lookup.mx(name);
    if (kind === 'PTR') return lookup.ptr(name);
    return kind === 'A' ? lookup.a(name) : lookup.aaaa(name);
  }
}
