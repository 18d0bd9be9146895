import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { type BlobStore, BodyMissingError, SpoolFullError } from './port.js';

const STALE = 3_600_000;
/** libuv has four threads for file work by default; more syncs at once would keep reads waiting. */
const WRITERS = 16;

/** Bodies as files: written beside their place, synced, renamed, and the folder synced. One node or a shared volume. */
export class FsBlobStore implements BlobStore {
  readonly kind = 'fs';
  readonly #writers = new Semaphore(WRITERS);
  readonly #syncing = new Map<string, { running: Promise<void>; next?: Promise<void> }>();

  constructor(private readonly dir: string) {}

  /** Makes the folder and clears what a crash left half written. */
  async init(): Promise<this> {
    await mkdir(this.#temp(''), { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.#temp(''))) {
      const age = Date.now() - (await stat(this.#temp(name)).then((s) => s.mtimeMs, () => Date.now()));
      if (age > STALE) await rm(this.#temp(name), { force: true });
    }
    return this;
  }

  async put(id: string, source: AsyncIterable<Buffer>): Promise<number> {
    const temp = this.#temp(id);
    try {
      const size = await this.#write(temp, source);
      await mkdir(this.#folder(id), { recursive: true, mode: 0o700 });
      await rename(temp, this.#path(id));
      await this.#syncFolder(this.#folder(id));
      return size;
    } catch (error) {
      await rm(temp, { force: true });
      if (['ENOSPC', 'EDQUOT', 'EFBIG'].includes((error as NodeJS.ErrnoException).code ?? '')) throw new SpoolFullError(error);
      throw error;
    }
  }

  async #write(temp: string, source: AsyncIterable<Buffer>): Promise<number> {
    const file = await open(temp, 'wx', 0o600);
    let size = 0;
    try {
      for await (const chunk of source) {
        for (let at = 0; at < chunk.length; ) at += (await file.write(chunk, at)).bytesWritten;
        size += chunk.length;
      }
      await this.#writers.run(() => file.datasync());
    } finally {
      await file.close();
    }
    return size;
  }

  async get(id: string): Promise<Readable> {
    const file = await open(this.#path(id), 'r').catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'ENOENT' ? new BodyMissingError(id) : error;
    });
    return createReadStream('', { fd: file, highWaterMark: 65_536 });
  }

  async delete(id: string): Promise<void> {
    await unlink(this.#path(id)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
  }

  async *list(before: number): AsyncIterable<string> {
    for (const folder of await readdir(this.dir)) {
      if (folder === TEMP) continue;
      for (const id of await readdir(join(this.dir, folder))) {
        const info = await stat(this.#path(id)).catch(() => undefined);
        if (info && info.mtimeMs < before) yield id;
      }
    }
  }

  async close(): Promise<void> {}

  /** One sync of a folder serves all renames that came before it started. */
  #syncFolder(folder: string): Promise<void> {
    const state = this.#syncing.get(folder);
    if (!state) {
      const running = this.#syncNow(folder);
      this.#syncing.set(folder, { running });
      return running;
    }
    state.next ??= state.running.catch(() => undefined).then(() => {
      const running = this.#syncNow(folder);
      this.#syncing.set(folder, { running });
      return running;
    });
    return state.next;
  }

  async #syncNow(folder: string): Promise<void> {
    const handle = await open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
      const state = this.#syncing.get(folder);
      if (state && !state.next) this.#syncing.delete(folder);
    }
  }

  /** UUIDv7 begins with the time; its end is random and spreads files over 256 folders. */
  #folder(id: string): string {
    return join(this.dir, id.slice(-2));
  }

  #path(id: string): string {
    if (!/^[0-9a-f-]{36}$/.test(id)) throw new Error(`"${id}" is no message id`);
    return join(this.#folder(id), id);
  }

  #temp(name: string): string {
    return join(this.dir, TEMP, name);
  }
}

const TEMP = 'tmp';

class Semaphore {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(size: number) {
    this.#free = size;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#free -= 1;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }
}
