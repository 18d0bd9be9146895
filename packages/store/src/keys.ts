import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { Networks } from '@waypost/config';
import { domainOf, matchDomain } from '@waypost/mail';
import type { Executor } from '@waypost/redis';

const KEYS = 'wp:keys';
/** A revoked key may be used this much longer by a process that missed the news, ms. */
const CACHE = 5_000;
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
  readonly networks: Networks;
}

const hashOf = (secret: string) => createHash('sha256').update(secret).digest('hex');

/** API keys: from the configuration, and from Redis where they were made by command or API. */
export class KeyStore {
  #entries = new Map<string, Entry>();
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
    const [reply] = (await this.executor.exec([{ name: 'hvals', args: [KEYS] }])) as [string[]];
    return reply.map((text) => JSON.parse(text) as KeyRecord).sort((a, b) => a.createdAt - b.createdAt);
  }

  async revoke(id: string): Promise<boolean> {
    const [removed] = await this.executor.exec([{ name: 'hdel', args: [KEYS, id] }]);
    this.#readAt = 0;
    return removed === 1;
  }

  /**
   * Proves a secret, in constant time over all keys.
   * @param input.user ignored unless it looks like a key's id and the secret is that of another.
   * @returns undefined where it does not hold, or not from this address.
   */
  async authenticate(input: {
    user?: string;
    password: string;
    remoteAddress?: string;
  }): Promise<ProvenKey | undefined> {
    if (input.password === '') return undefined;
    await this.#refresh();
    const digest = Buffer.from(hashOf(input.password), 'hex');
    let found: Entry | undefined;
    for (const entry of this.#entries.values()) {
      if (timingSafeEqual(digest, Buffer.from(entry.record.hash, 'hex'))) found = entry;
    }
    if (!found) return undefined;
    if (found.networks.size > 0 && !found.networks.has(input.remoteAddress)) return undefined;
    const { id, tenant, scopes, domains } = found.record;
    const allowsSender = (address: string) => domains.some((pattern) => matchDomain(pattern, domainOf(address)));
    return { id, scopes, allowsSender, ...(tenant ? { tenant } : {}) };
  }

  /** Reads the keys when they are older than the cache allows; while Redis is away those known stay good. */
  async #refresh(): Promise<void> {
    if (Date.now() - this.#readAt < CACHE) return;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    await this.#reading.catch((error) => {
      if (this.#entries.size === 0) throw error;
    });
  }

  async #read(): Promise<void> {
    const records = [...(await this.list()), ...this.configured().map(fromConfig)];
    this.#entries = new Map(records.map((record) => [record.id, { record, networks: new Networks(record.networks) }]));
    this.#readAt = Date.now();
  }
}

function fromConfig(key: ConfiguredKey): KeyRecord {
  const { id, secret, scopes, domains, networks, tenant } = key;
  return { id, name: id, hash: hashOf(secret), scopes, domains, networks, createdAt: 0, ...(tenant ? { tenant } : {}) };
}
