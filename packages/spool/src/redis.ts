import { Readable } from 'node:stream';
import { type Command, type Executor, RedisRefusedError } from '@waypost/redis';
import { type BlobStore, BodyMissingError, SpoolFullError } from './port.js';

/** A larger SET stalls every other client of Redis, octets. */
const CHUNK = 262_144;
/** Chunks of a body that never became whole are gone after this, s. */
const UNFINISHED = 86_400;
const SCAN = 1000;

const chunkKey = (id: string, index: number) => `wp:{${id}}:c:${index}`;
/** Number of chunks and time of completion; what makes the body visible. */
const countKey = (id: string) => `wp:{${id}}:c`;
const idOf = (key: string) => key.slice('wp:{'.length, -'}:c'.length);

/** Bodies in Redis in bounded chunks, for where there is neither a shared volume nor an object store. */
export class RedisBlobStore implements BlobStore {
  readonly kind = 'redis';

  constructor(private readonly executor: Executor) {}

  async put(id: string, source: AsyncIterable<Buffer>): Promise<number> {
    let count = 0;
    let size = 0;
    try {
      for await (const chunk of rechunk(source, CHUNK)) {
        const set: Command = { name: 'set', args: [chunkKey(id, count), chunk, 'EX', UNFINISHED] };
        await this.executor.exec([set], { refusable: true });
        count += 1;
        size += chunk.length;
      }
      await this.#complete(id, count);
      return size;
    } catch (error) {
      // Redis may be away; then the chunks expire.
      await this.#unlink(id, count + 1).catch(() => undefined);
      throw isFull(error) ? new SpoolFullError(error) : error;
    }
  }

  async get(id: string): Promise<Readable> {
    const count = await this.#count(id);
    if (count === undefined) throw new BodyMissingError(id);
    return Readable.from(this.#chunks(id, count), { objectMode: false });
  }

  async delete(id: string): Promise<void> {
    const count = await this.#count(id);
    if (count !== undefined) await this.#unlink(id, count);
  }

  async *list(before: number): AsyncIterable<string> {
    let cursor = '0';
    do {
      const reply = await this.#run({ name: 'scan', args: [cursor, 'MATCH', 'wp:{*}:c', 'COUNT', SCAN] });
      const [next, keys] = reply as [string, string[]];
      cursor = next;
      const values = await this.executor.exec(keys.map((key) => ({ name: 'get', args: [key] })));
      for (const [at, key] of keys.entries()) if (completedAt(values[at]) < before) yield idOf(key);
    } while (cursor !== '0');
  }

  async close(): Promise<void> {}

  /** Keeps the chunks for good and makes the body visible, in one transaction. */
  async #complete(id: string, count: number): Promise<void> {
    const keep = Array.from({ length: count }, (_, at): Command => ({ name: 'persist', args: [chunkKey(id, at)] }));
    const done: Command = { name: 'set', args: [countKey(id), `${count} ${Date.now()}`] };
    const replies = await this.executor.exec([...keep, done], { refusable: true });
    if (replies.slice(0, count).some((kept) => kept !== 1)) {
      throw new Error(`chunks of the body of message ${id} expired before it was whole`);
    }
  }

  async *#chunks(id: string, count: number): AsyncGenerator<Buffer> {
    for (let at = 0; at < count; at += 1) {
      const chunk = await this.#run({ name: 'get', args: [chunkKey(id, at)], binary: true });
      if (!Buffer.isBuffer(chunk)) throw new BodyMissingError(id);
      yield chunk;
    }
  }

  async #count(id: string): Promise<number | undefined> {
    const value = (await this.#run({ name: 'get', args: [countKey(id)] })) as string | null;
    return value === null ? undefined : Number(value.split(' ')[0]);
  }

  async #unlink(id: string, count: number): Promise<void> {
    const keys = Array.from({ length: count }, (_, at) => chunkKey(id, at));
    await this.#run({ name: 'unlink', args: [countKey(id), ...keys] });
  }

  async #run(command: Command): Promise<unknown> {
    const [reply] = await this.executor.exec([command]);
    return reply;
  }
}

/** A body deleted meanwhile counts as new. */
function completedAt(value: unknown): number {
  return typeof value === 'string' ? Number(value.split(' ')[1]) : Number.POSITIVE_INFINITY;
}

function isFull(error: unknown): boolean {
  return error instanceof RedisRefusedError && /^OOM/.test(error.message);
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
