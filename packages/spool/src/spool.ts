import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { BodyRef } from '@waypost/mail';
import type { Executor } from '@waypost/redis';
import { BodyCache } from './cache.js';
import { bodyId, bodyKey } from './inline.js';
import { type BlobStore, BodyMissingError, type Draft } from './port.js';

export interface SpoolOptions {
  /** Bodies up to this many octets go into Redis with the commit. */
  readonly inlineMax: number;
  /** Octets of inline bodies kept for a delivery in the same process. */
  readonly cache: number;
}

/** An iterator that has ended. */
const NOTHING: AsyncIterator<Buffer> = { next: async () => ({ done: true, value: undefined }) };

/** Where bodies are between acceptance and the last recipient's end. */
export class Spool {
  readonly #cache: BodyCache;

  constructor(
    private readonly executor: Executor,
    readonly blobs: BlobStore,
    private readonly options: SpoolOptions,
  ) {
    this.#cache = new BodyCache(options.cache);
  }

  /**
   * Takes a body in: small ones stay in memory for the commit, larger ones stream to the blob store as they come.
   * @param prepend header fields to put before it.
   * @throws what the source throws, and SpoolFullError; nothing is left behind then. The source has been read to its end, as a
   *   client hears a refusal only after its final dot.
   */
  async receive(id: string, source: AsyncIterable<Buffer>, prepend?: Buffer): Promise<Draft> {
    const chunks: Buffer[] = prepend ? [prepend] : [];
    let size = prepend?.length ?? 0;
    const iterator = source[Symbol.asyncIterator]();
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
      chunks.push(next.value);
      size += next.value.length;
      if (size > this.options.inlineMax) return this.#toBlob(id, chunks, iterator);
    }
    const inline = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, size);
    return this.inlineDraft(id, inline);
  }

  /** @returns a draft of a body that is in memory already and small enough. */
  inlineDraft(id: string, inline: Buffer): Draft {
    this.#cache.put(id, inline);
    return { id, ref: { at: 'inline', size: inline.length }, inline };
  }

  /** Takes in a body that is in memory. */
  async store(id: string, body: Buffer): Promise<Draft> {
    if (body.length <= this.options.inlineMax) return this.inlineDraft(id, body);
    return this.#toBlob(id, [body], NOTHING);
  }

  /**
   * Takes in another form of a message, called by its content, so that no form is ever written over another.
   * @returns its draft: an inline one goes into Redis with the verdict.
   */
  async storeVariant(id: string, body: Buffer): Promise<Draft> {
    const variant = createHash('sha256').update(body).digest('hex').slice(0, 16);
    const draft = await this.store(bodyId(id, { variant }), body);
    return { ...draft, id, ref: { ...draft.ref, variant } };
  }

  /**
   * @returns the whole body as a Buffer when it is inline, else a stream.
   * @throws BodyMissingError
   */
  async read(id: string, ref: BodyRef): Promise<Buffer | Readable> {
    const name = bodyId(id, ref);
    if (ref.at !== 'inline') return this.blobs.get(name);
    const cached = this.#cache.get(name);
    if (cached) return cached;
    const [body] = await this.executor.exec([{ name: 'get', args: [bodyKey(id, ref.variant)], binary: true }]);
    if (!Buffer.isBuffer(body)) throw new BodyMissingError(id);
    return body;
  }

  /** Drops a draft that was never committed. */
  discard({ id, ref }: Draft): Promise<void> {
    return this.remove(id, ref);
  }

  /** Drops the bodies of a message that has ended; what lay in Redis went with its record. */
  async remove(id: string, ...refs: readonly BodyRef[]): Promise<void> {
    for (const ref of refs) {
      const name = bodyId(id, ref);
      this.#cache.forget(name);
      if (ref.at !== 'inline') await this.blobs.delete(name);
    }
  }

  async #toBlob(id: string, chunks: Buffer[], rest: AsyncIterator<Buffer>): Promise<Draft> {
    async function* all(): AsyncGenerator<Buffer> {
      for (let chunk = chunks.shift(); chunk; chunk = chunks.shift()) yield chunk;
      for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
    }
    try {
      const size = await this.blobs.put(id, all());
      return { id, ref: { at: this.blobs.kind, size } };
    } catch (error) {
      await drain(rest);
      throw error;
    }
  }
}

/** Reads on and throws away; a source that has failed has nothing more. */
async function drain(source: AsyncIterator<Buffer>): Promise<void> {
  try {
    while (!(await source.next()).done);
  } catch {
    // What went wrong first is what counts.
  }
}
