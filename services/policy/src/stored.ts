import type { Readable } from 'node:stream';
import type { BodyRef, MessageMeta } from '@waypost/mail';
import { type ParsedMail, parseMail } from '@waypost/mime';
import type { Source } from './form.js';
import type { ScanMemory } from './scan-memory.js';

export interface StoredDeps {
  /** Reads a stored body. */
  readonly read: (ref: BodyRef) => Promise<Buffer | Readable>;
  readonly memory: ScanMemory;
  /** Octets that `message` reads at most. */
  readonly scanMax: number;
}

/** A stored message as checks read it; nothing is read before one asks. */
export class StoredMessage implements Source {
  readonly #messages = new Map<string, Promise<Buffer>>();
  readonly #mails = new Map<string, Promise<ParsedMail>>();
  readonly #releases: (() => void)[] = [];

  constructor(
    private readonly meta: Pick<MessageMeta, 'id' | 'body'>,
    private readonly deps: StoredDeps,
  ) {}

  body(ref: BodyRef = this.meta.body): Promise<Buffer | Readable> {
    return this.deps.read(ref);
  }

  message(ref: BodyRef = this.meta.body): Promise<Buffer> {
    return once(this.#messages, ref, () => this.#read(ref));
  }

  mail(ref: BodyRef = this.meta.body): Promise<ParsedMail> {
    return once(this.#mails, ref, async () => parseMail(await this.message(ref)));
  }

  /** Gives back the memory; to be called when the message is judged. */
  close(): void {
    for (const release of this.#releases.splice(0)) release();
  }

  async #read(ref: BodyRef): Promise<Buffer> {
    const { memory, scanMax } = this.deps;
    // Who holds some already does not wait for more, or two could wait for each other.
    if (this.#releases.length === 0) this.#releases.push(await memory.take(Math.min(ref.size, scanMax)));
    const body = await this.body(ref);
    if (Buffer.isBuffer(body)) return body.subarray(0, scanMax);
    const chunks: Buffer[] = [];
    let size = 0;
    // Leaving the loop ends the stream.
    for await (const chunk of body) {
      chunks.push(chunk as Buffer);
      size += (chunk as Buffer).length;
      if (size >= scanMax) break;
    }
    return Buffer.concat(chunks).subarray(0, scanMax);
  }
}

function once<T>(known: Map<string, Promise<T>>, { variant = '' }: BodyRef, make: () => Promise<T>): Promise<T> {
  let one = known.get(variant);
  if (!one) {
    one = make();
    known.set(variant, one);
  }
  return one;
}
