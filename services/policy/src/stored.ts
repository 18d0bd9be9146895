import type { Readable } from 'node:stream';
import type { MessageMeta } from '@waypost/mail';
import type { Spool } from '@waypost/spool';
import type { Source } from './form.js';

/** Octets of messages that checks may have in memory at once; those that find no room wait in line. */
export class ScanMemory {
  #used = 0;
  readonly #waiting: { readonly octets: number; readonly go: () => void }[] = [];

  constructor(private readonly limit: () => number) {}

  /** Resolves when there is room; one message alone always finds it. @returns what gives it back. */
  async take(octets: number): Promise<() => void> {
    if (this.#waiting.length > 0 || !this.#fits(octets)) {
      await new Promise<void>((go) => this.#waiting.push({ octets, go }));
    } else {
      this.#used += octets;
    }
    return () => {
      this.#used -= octets;
      for (let next = this.#waiting[0]; next && this.#fits(next.octets); next = this.#waiting[0]) {
        this.#waiting.shift();
        this.#used += next.octets;
        next.go();
      }
    };
  }

  #fits(octets: number): boolean {
    return this.#used === 0 || this.#used + octets <= this.limit();
  }
}

/** A stored message as checks read it; nothing is read before one asks. */
export class StoredMessage implements Source {
  #message: Promise<Buffer> | undefined;
  #release: (() => void) | undefined;

  /** @param scanMax octets that `message` reads at most. */
  constructor(
    private readonly meta: MessageMeta,
    private readonly deps: { readonly spool: Spool; readonly memory: ScanMemory; readonly scanMax: number },
  ) {}

  body(): Promise<Buffer | Readable> {
    return this.deps.spool.read(this.meta.id, this.meta.body);
  }

  message(): Promise<Buffer> {
    this.#message ??= this.#read();
    return this.#message;
  }

  /** Gives back the memory; to be called when the message is judged. */
  close(): void {
    this.#release?.();
    this.#release = undefined;
  }

  async #read(): Promise<Buffer> {
    const { memory, scanMax } = this.deps;
    this.#release = await memory.take(Math.min(this.meta.body.size, scanMax));
    const body = await this.body();
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
