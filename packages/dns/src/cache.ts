/** A loaded value and how long it holds. */
export interface Loaded<T> {
  readonly value: T;
  /** Milliseconds. */
  readonly ttl: number;
  /** The source failed for now: a value that was good before is preferred (RFC 8767). */
  readonly failed?: boolean;
}

export interface CacheSettings {
  /** Entries kept at most; the least recently used goes first. */
  readonly size: number;
  /** Milliseconds a good value may still serve past its time while the source fails. */
  readonly staleFor: number;
}

interface Entry<T> {
  readonly loaded: Loaded<T>;
  readonly expires: number;
  /** Until when the value may serve while the source fails. */
  readonly staleUntil: number;
}

/** Values by key with their time to live; concurrent requests for one key load it once. */
export class TtlCache<T> {
  readonly #entries = new Map<string, Entry<T>>();
  readonly #loading = new Map<string, Promise<T>>();

  constructor(
    private readonly settings: CacheSettings,
    private readonly now: () => number,
  ) {}

  get size(): number {
    return this.#entries.size;
  }

  /** @param load must not reject. */
  async get(key: string, load: () => Promise<Loaded<T>>): Promise<T> {
    const entry = this.#entries.get(key);
    if (entry && this.now() < entry.expires) {
      this.#entries.delete(key);
      this.#entries.set(key, entry);
      return entry.loaded.value;
    }
    const running = this.#loading.get(key);
    if (running) return running;
    const loading = this.#load(key, load).finally(() => this.#loading.delete(key));
    this.#loading.set(key, loading);
    return loading;
  }

  async #load(key: string, load: () => Promise<Loaded<T>>): Promise<T> {
    const fresh = await load();
    const old = this.#entries.get(key);
    const now = this.now();
    if (fresh.failed && old && !old.loaded.failed && now < old.staleUntil) {
      this.#store(key, { ...old, expires: now + fresh.ttl });
      return old.loaded.value;
    }
    this.#store(key, { loaded: fresh, expires: now + fresh.ttl, staleUntil: now + fresh.ttl + this.settings.staleFor });
    return fresh.value;
  }

  #store(key: string, entry: Entry<T>): void {
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.settings.size) break;
      this.#entries.delete(oldest);
    }
  }
}
