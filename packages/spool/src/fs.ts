import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { FolderSync } from './folder-sync.js';
import { type BlobStore, BodyMissingError, SpoolFullError } from './port.js';
import { Semaphore } from './semaphore.js';

const TEMP = 'tmp';
/** A temporary file untouched for this long belongs to a process that died, ms. */
const STALE = 3_600_000;
/** libuv has four threads for all file and name look-up work: syncs, which are slow, may hold half of them. */
const SYNCS = 2;
/** Chunks from a socket are gathered to this before they go to the file, octets. */
const WRITE_SIZE = 131_072;
const READ_SIZE = 131_072;
const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);
const ID = /^[0-9a-f-]{36}(?:\.[0-9a-f]{16})?$/;
const SHARD = /^[0-9a-f-]{2}$/;

/** Bodies as files: written beside their place, synced, renamed, and the folder synced. One node or a shared volume. */
export class FsBlobStore implements BlobStore {
  readonly kind = 'fs';
  readonly #syncs = new Semaphore(SYNCS);
  readonly #folderSync = new FolderSync(this.#syncs);
  readonly #shards = new Map<string, Promise<void>>();

  constructor(private readonly dir: string) {}

  /** Makes the folders and clears what a crash left half written. */
  async init(): Promise<this> {
    const temp = join(this.dir, TEMP);
    await makeFolder(temp, this.#folderSync);
    for (const name of await readdir(temp)) {
      const path = join(temp, name);
      const changed = await stat(path).then(
        (info) => info.mtimeMs,
        () => Number.POSITIVE_INFINITY,
      );
      if (changed < Date.now() - STALE) await rm(path, { force: true });
    }
    return this;
  }

  async put(id: string, source: AsyncIterable<Buffer>): Promise<number> {
    const path = this.#path(id);
    // A name of its own for each try, so that a repeated put of one id cannot spoil the first.
    const temp = join(this.dir, TEMP, `${id}.${randomBytes(6).toString('hex')}`);
    let made = temp;
    try {
      const size = await this.#write(temp, source);
      await this.#shard(dirname(path));
      await rename(temp, path);
      made = path;
      await this.#folderSync.sync(dirname(path));
      return size;
    } catch (error) {
      await rm(made, { force: true });
      throw FULL.has((error as NodeJS.ErrnoException).code ?? '') ? new SpoolFullError(error) : error;
    }
  }

  async #write(temp: string, source: AsyncIterable<Buffer>): Promise<number> {
    const file = await open(temp, 'wx', 0o600);
    let size = 0;
    let waiting: Buffer[] = [];
    let octets = 0;
    try {
      for await (const chunk of source) {
        waiting.push(chunk);
        octets += chunk.length;
        size += chunk.length;
        if (octets < WRITE_SIZE) continue;
        await writeAll(file, waiting, octets);
        waiting = [];
        octets = 0;
      }
      await writeAll(file, waiting, octets);
      await this.#syncs.run(() => file.datasync());
    } finally {
      await file.close();
    }
    return size;
  }

  async get(id: string): Promise<Readable> {
    const file = await open(this.#path(id), 'r').catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'ENOENT' ? new BodyMissingError(id) : error;
    });
    return createReadStream('', { fd: file, highWaterMark: READ_SIZE });
  }

  async delete(id: string): Promise<void> {
    await unlink(this.#path(id)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
  }

  async *list(before: number): AsyncIterable<string> {
    for (const shard of await readdir(this.dir)) {
      if (!SHARD.test(shard)) continue;
      for (const name of await readdir(join(this.dir, shard))) {
        if (!ID.test(name)) continue;
        const info = await stat(join(this.dir, shard, name)).catch(() => undefined);
        if (info && info.mtimeMs < before) yield name;
      }
    }
  }

  async close(): Promise<void> {}

  /** Makes a folder once a process; a failure is tried again by the next put. */
  #shard(folder: string): Promise<void> {
    const known = this.#shards.get(folder);
    if (known) return known;
    const making = makeFolder(folder, this.#folderSync);
    this.#shards.set(folder, making);
    making.catch(() => this.#shards.delete(folder));
    return making;
  }

  /** UUIDv7 begins with the time; its end is random and spreads files over 256 folders. */
  #path(id: string): string {
    if (!ID.test(id)) throw new Error(`"${id}" is no message id`);
    return join(this.dir, id.slice(-2), id);
  }
}

/** Makes a folder and what is missing above it, durably: a new folder is an entry of the one above. */
async function makeFolder(folder: string, sync: FolderSync): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let at = folder; at.length >= first.length; at = dirname(at)) await sync.sync(dirname(at));
}

async function writeAll(file: FileHandle, chunks: readonly Buffer[], octets: number): Promise<void> {
  if (octets === 0) return;
  const { bytesWritten } = await file.writev(chunks as Buffer[]);
  if (bytesWritten === octets) return;
  const rest = Buffer.concat(chunks, octets);
  for (let at = bytesWritten; at < octets; ) at += (await file.write(rest, at)).bytesWritten;
}
