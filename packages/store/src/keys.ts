import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { Networks } from '@waypost/config';
import { domainOf, matchDomain } from '@waypost/mail';
import type { Executor } from '@waypost/redis';

const KEYS = 'wp:keys';
/** Keys older than this are read anew, ms; a revoked one may be used until that is done. */
const CACHE = 5_000;
/** While keys are read anew, those known count for so long at most, ms: who has one need not wait for Redis. */
const STALE = 10_000;
const PREFIX = 'wp_';

export type Scope = 'send' | 'read' | 'admin';

/** What is kept of an API key; never the secret itself. */
export interface KeyRecord {
  readonly id: string;
  readonly name: string;
  /** SHA-256 of the secret, hex. A secret has 256 random bits, so that a slow hash would only slow us down. */
  readonly hash: string;
  readonly scopes: readonly Scope[];
  /** Sender domains; `*` is any. */
  readonly domains: readonly string[];
  readonly networks: readonly string[];
  readonly tenant?: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

/** A key that was proven. */
export interface ProvenKey {
  readonly id: string;
  readonly tenant?: string;
  readonly scopes: readonly Scope[];
  allowsSender(address: string): boolean;
}

export interface ConfiguredKey {
  readonly id: string;
  readonly secret: string;
  readonly scopes: readonly Scope[];
  readonly domains: readonly string[];
  readonly networks: readonly string[];
  readonly tenant?: string | undefined;
}

interface Entry {
  readonly record: KeyRecord;
  readonly hash: Buffer;
  readonly networks: Networks | undefined;
}

const hashOf = (secret: string) => createHash('sha256').update(secret).digest('hex');
/** Compared with where no key has the hash: no secret has this one. */
const NO_KEY = Buffer.alloc(32);

/** API keys: from the configuration, and from Redis where they were made by command or API. */
export class KeyStore {
  /** By hash, in hex. */
  #entries = new Map<string, Entry>();
  /** Entries as they were read, by their text, so that those that stay are not made again. */
  #made = new Map<string, Entry>();
  #readAt = 0;
  #reading: Promise<void> | undefined;

  /** @param configured read at each refresh. */
  constructor(
    private readonly executor: Executor,
    private readonly configured: () => readonly ConfiguredKey[] = () => [],
  ) {}

  /** Makes a key. @returns the secret, which is shown once and not kept. */
  async create(
    input: Partial<Omit<KeyRecord, 'hash' | 'id'>> & { name: string },
  ): Promise<{ secret: string; record: KeyRecord }> {
    const id = randomBytes(6).toString('hex');
    const secret = `${PREFIX}${id}_${randomBytes(32).toString('base64url')}`;
    const record: KeyRecord = {
      scopes: ['send', 'read'],
      domains: ['*'],
      networks: [],
      createdAt: Date.now(),
      ...input,
      id,
      hash: hashOf(secret),
    };
    new Networks(record.networks);
    await this.executor.exec([{ name: 'hset', args: [KEYS, id, JSON.stringify(record)] }]);
    this.#readAt = 0;
    return { secret, record };
  }

  async list(): Promise<KeyRecord[]> {
    const records = (await this.#texts()).map((text) => JSON.parse(text) as KeyRecord);
    return records.sort((a, b) => a.createdAt - b.createdAt);
  }

  async revoke(id: string): Promise<boolean> {
    const [removed] = await this.executor.exec([{ name: 'hdel', args: [KEYS, id] }]);
    this.#readAt = 0;
    return removed === 1;
  }

  /**
   * Proves a secret. A wrong one costs a hash and a look-up, however many keys there are, and asks Redis for nothing; what
   * the time of a look-up by hash could tell is of no use without the secret of 256 random bits that has this hash.
   * @param input.user ignored unless it looks like a key's id and the secret is that of another.
   * @returns undefined where it does not hold, or not from this address.
   */
  async authenticate(input: {
    user?: string;
    password: string;
    remoteAddress?: string;
  }): Promise<ProvenKey | undefined> {
    if (input.password === '') return undefined;
    const reading = this.#refresh();
    if (Date.now() - this.#readAt > STALE) await reading;
    const hash = hashOf(input.password);
    let found = this.#entries.get(hash);
    if (!found && reading) {
      // It may be new.
      await reading;
      found = this.#entries.get(hash);
    }
    if (!timingSafeEqual(Buffer.from(hash, 'hex'), found?.hash ?? NO_KEY) || !found) return undefined;
    if (found.networks && !found.networks.has(input.remoteAddress)) return undefined;
    const { id, tenant, scopes, domains } = found.record;
    const allowsSender = (address: string) => domains.some((pattern) => matchDomain(pattern, domainOf(address)));
    return { id, scopes, allowsSender, ...(tenant ? { tenant } : {}) };
  }

  /**
   * Reads the keys when they are older than the cache allows; while Redis is away those known stay good.
   * @returns the reading under way, undefined where what is known is new. Rejects where nothing is known.
   */
  #refresh(): Promise<void> | undefined {
    if (Date.now() - this.#readAt < CACHE) return undefined;
    this.#reading ??= this.#read()
      .catch((error) => {
        if (this.#entries.size === 0) throw error;
      })
      .finally(() => {
        this.#reading = undefined;
      });
    // Who need not wait does not hear of it.
    this.#reading.catch(() => undefined);
    return this.#reading;
  }

  async #read(): Promise<void> {
    const texts = [...(await this.#texts()), ...this.configured().map((key) => JSON.stringify(fromConfig(key)))];
    this.#made = new Map(texts.map((text) => [text, this.#made.get(text) ?? toEntry(JSON.parse(text) as KeyRecord)]));
    // Of keys with one id the last counts, which is the configuration's.
    const byId = new Map([...this.#made.values()].map((entry) => [entry.record.id, entry]));
    this.#entries = new Map([...byId.values()].map((entry) => [entry.record.hash, entry]));
    this.#readAt = Date.now();
  }

  async #texts(): Promise<string[]> {
    const [reply] = (await this.executor.exec([{ name: 'hvals', args: [KEYS] }])) as [string[]];
    return reply;
  }
}

function toEntry(record: KeyRecord): Entry {
  const { hash, networks } = record;
  return {
    record,
    hash: Buffer.from(hash, 'hex'),
    networks: networks.length > 0 ? new Networks(networks) : undefined,
  };
}

function fromConfig(key: ConfiguredKey): KeyRecord {
  const { id, secret, scopes, domains, networks, tenant } = key;
  return { id, name: id, hash: hashOf(secret), scopes, domains, networks, createdAt: 0, ...(tenant ? { tenant } : {}) };
}
