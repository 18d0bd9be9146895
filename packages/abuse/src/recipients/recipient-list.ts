import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { domainOf } from '@waypost/mail';
import { watchFiles } from '../lists/watch-files.js';

export interface RecipientListOptions {
  /** Files with one address a line, or `@example.com` for all of a domain; read at each use. */
  readonly files: () => readonly string[];
  readonly onLoaded?: (addresses: number) => void;
  /** The list read before stays in force. */
  readonly onError?: (error: Error) => void;
}

interface Loaded {
  readonly addresses: ReadonlySet<string>;
  /** Domains that the list speaks for. */
  readonly domains: ReadonlySet<string>;
}

const MOST = 5_000_000;
const NONE: Loaded = { addresses: new Set(), domains: new Set() };

/** Who has a mailbox here, from files that are followed as they change. */
export class RecipientList {
  #loaded = NONE;
  #files: readonly string[] = [];
  #unwatch = () => {};
  #loading: Promise<void> = Promise.resolve();

  constructor(private readonly options: RecipientListOptions) {}

  /** @throws Error where a file cannot be read. */
  async start(): Promise<void> {
    this.#files = this.options.files();
    this.#loaded = await load(this.#files);
    this.#follow();
  }

  stop(): void {
    this.#unwatch();
  }

  /** @returns whether an address has a mailbox; undefined where the list does not speak for its domain. */
  has(address: string): boolean | undefined {
    const files = this.options.files();
    if (files.join('\n') !== this.#files.join('\n')) {
      this.#files = files;
      this.#unwatch();
      this.#follow();
      void this.reload();
    }
    const domain = domainOf(address);
    if (!this.#loaded.domains.has(domain)) return undefined;
    const { addresses } = this.#loaded;
    const name = address.toLowerCase();
    // With a detail after the plus it is still that mailbox (RFC 5233).
    return addresses.has(name) || addresses.has(name.replace(/\+[^@]*@/, '@')) || addresses.has(`@${domain}`);
  }

  /** Reads the files again. Resolves when they are in force, or refused. */
  reload(): Promise<void> {
    this.#loading = this.#loading.then(async () => {
      try {
        this.#loaded = await load(this.#files);
        this.options.onLoaded?.(this.#loaded.addresses.size);
      } catch (error) {
        this.options.onError?.(error as Error);
      }
    });
    return this.#loading;
  }

  #follow(): void {
    const failed = (error: Error) => this.options.onError?.(error);
    this.#unwatch = watchFiles(this.#files, () => void this.reload(), failed);
  }
}

async function load(files: readonly string[]): Promise<Loaded> {
  const addresses = new Set<string>();
  const domains = new Set<string>();
  for (const file of files) {
    let number = 0;
    for await (const line of createInterface({ input: createReadStream(file, 'utf8') })) {
      number += 1;
      const text = line.replace(/#.*$/, '').trim().toLowerCase();
      if (text === '') continue;
      const domain = domainOf(text);
      if (domain === '' || /\s/.test(text))
        throw new Error(`${file}, line ${number}: "${text.slice(0, 60)}" is no address`);
      addresses.add(text);
      domains.add(domain);
      if (addresses.size > MOST) throw new Error(`${file}: there are more than ${MOST} addresses`);
    }
  }
  return { addresses, domains };
}
