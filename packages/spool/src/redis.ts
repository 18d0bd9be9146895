import { Readable } from 'node:stream';
import type { Executor } from '@waypost/redis';
import { type BlobStore, BodyMissingError } from './port.js';

/** A larger SET stalls every other client of Redis. */
const CHUNK = 262_144;
/** Chunks of a body that never became whole are gone after this, s. */
const UNFINISHED = 86_400;

const chunkKey = (id: string, index: number) => `wp:{${id}}:c:${index}`;
const countKey = (id: string) => `wp:{${id}}:c`;

/** Bodies in Redis in bounded chunks, for where there is neither a shared volume nor an object store. */
export class RedisBlobStore implements BlobStore {
  readonly kind = 'redis';

  constructor(private readonly executor: Executor) {}

  async put(id: string, source: AsyncIterable<Buffer>): Promise<number> {
    let count = 0;
    let size = 0;
    try {
      for await (const chunk of rechunk(source, CHUNK)) {
        await this.executor.exec([{ name: 'set', args: [chunkKey(id, count), chunk, 'EX', UNFINISHED] }]);
        count += 1;
        size += chunk.length;
      }
      const keep = Array.from({ length: count }, (_, at) => ({ name: 'persist', args: [chunkKey(id, at)] }));
      await this.executor.exec([...keep, { name: 'set', args: [countKey(id), `${count} ${Date.now()}`] }]);
      return size;
    } catch (error) {
      await this.#unlink(id, count + 1).catch(() => undefined);
      throw error;
    }
  }

  async get(id: string): Promise<Readable> {
    const count = await this.#count(id);
    if (count === undefined) throw new BodyMissingError(id);
    const { executor } = this;
    async function* chunks(total: number) {
      for (let at = 0; at < total; at += 1) {
        const [chunk] = await executor.exec([{ name: 'get', args: [chunkKey(id, at)], binary: true }]);
        if (!Buffer.isBuffer(chunk)) throw new BodyMissingError(id);
        yield chunk;
      }
    }
    return Readable.from(chunks(count), { objectMode: false });
  }

  async delete(id: string): Promise<void> {
    const count = await this.#count(id);
    if (count !== undefined) await this.#unlink(id, count);
  }

  async *list(before: number): AsyncIterable<string> {
    let cursor = '0';
    do {
      const [reply] = await this.executor.exec([{ name: 'scan', args: [cursor, 'MATCH', 'wp:{*}:c', 'COUNT', 1000] }]);
      const [next, keys] = reply as [string, string[]];
      cursor = next;
      for (const key of keys) {
        const [value] = (await this.executor.exec([{ name: 'get', args: [key] }])) as [string | null];
        if (value && Number(value.split(' ')[1]) < before) yield key.slice(4, -3);
      }
    } while (cursor !== '0');
  }

  async close(): Promise<void> {}

  async #count(id: string): Promise<number | undefined> {
    const [value] = (await this.executor.exec([{ name: 'get', args: [countKey(id)] }])) as [string | null];
    return value === null ? undefined : Number(value.split(' ')[0]);
  }

  async #unlink(id: string, count: number): Promise<void> {
    const keys = Array.from({ length: count }, (_, at) => chunkKey(id, at));
    await this.executor.exec([{ name: 'unlink', args: [countKey(id), ...keys] }]);
  }
}

/** Cuts a stream into pieces of `size` octets, the last one shorter. */
async function* rechunk(source: AsyncIterable<Buffer>, size: number): AsyncGenerator<Buffer> {
  let waiting: Buffer[] = [];
  let length = 0;
  for await (const chunk of source) {
    waiting.push(chunk);
    length += chunk.length;
    if (length < size) continue;
    const all = Buffer.concat(waiting, length);
    let at = 0;
    for (; length - at >= size; at += size) yield all.subarray(at, at + size);
    waiting = at < length ? [all.subarray(at)] : [];
    length -= at;
  }
  if (length > 0) yield Buffer.concat(waiting, length);
}
