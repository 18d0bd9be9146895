import type { AccessListSettings } from '@waypost/config';
import { type Network, parseNetwork } from '../ip.js';
import { RangeSet } from './range-set.js';
import { readNetworks } from './read-file.js';
import { watchFiles } from './watch-files.js';

export interface AccessListsOptions {
  /** Read at each use; where the lists in it are others, they are read anew. */
  readonly settings: () => AccessListSettings;
  readonly onLoaded?: (networks: { readonly allow: number; readonly deny: number }) => void;
  /** The lists read before stay in force. */
  readonly onError?: (error: Error) => void;
}

interface Loaded {
  readonly allow: RangeSet;
  readonly deny: RangeSet;
}

const NOBODY = new RangeSet([]);

/** Who is always let in, and who never; from the configuration and from files, which are followed as they change. */
export class AccessLists {
  #loaded: Loaded = { allow: NOBODY, deny: NOBODY };
  #settings: AccessListSettings | undefined;
  #unwatch = () => {};
  #loading: Promise<void> = Promise.resolve();

  constructor(private readonly options: AccessListsOptions) {}

  /** Reads all lists. @throws Error where one cannot be read: a start without it would let in whom it keeps out. */
  async start(): Promise<void> {
    this.#settings = this.options.settings();
    this.#loaded = await load(this.#settings);
    this.#report();
    this.#follow();
  }

  stop(): void {
    this.#unwatch();
  }

  /** @returns what the lists say of an address; who is allowed is not asked whether denied. */
  verdict(address: string | undefined): 'allow' | 'deny' | undefined {
    const settings = this.options.settings();
    if (this.#settings && settings !== this.#settings) this.#changed(settings);
    if (this.#loaded.allow.has(address)) return 'allow';
    return this.#loaded.deny.has(address) ? 'deny' : undefined;
  }

  /** Reads all lists again. Resolves when they are in force, or refused. */
  reload(): Promise<void> {
    // One after another, so that what is read last counts.
    this.#loading = this.#loading.then(async () => {
      try {
        this.#loaded = await load(this.#settings ?? this.options.settings());
        this.#report();
      } catch (error) {
        this.options.onError?.(error as Error);
      }
    });
    return this.#loading;
  }

  #changed(settings: AccessListSettings): void {
    const differs = JSON.stringify(settings) !== JSON.stringify(this.#settings);
    this.#settings = settings;
    if (!differs) return;
    this.#unwatch();
    this.#follow();
    void this.reload();
  }

  #follow(): void {
    const { allow_files = [], deny_files = [] } = this.#settings ?? {};
    const failed = (error: Error) => this.options.onError?.(error);
    this.#unwatch = watchFiles([...allow_files, ...deny_files], () => void this.reload(), failed);
  }

  #report(): void {
    const { allow, deny } = this.#loaded;
    this.options.onLoaded?.({ allow: allow.size, deny: deny.size });
  }
}

async function load({ allow, allow_files, deny, deny_files }: AccessListSettings): Promise<Loaded> {
  return { allow: await gather(allow, allow_files), deny: await gather(deny, deny_files) };
}

async function gather(entries: readonly string[], files: readonly string[]): Promise<RangeSet> {
  const networks: Network[] = entries.flatMap((entry) => parseNetwork(entry) ?? []);
  for (const file of files) for (const network of await readNetworks(file)) networks.push(network);
  return new RangeSet(networks);
}
