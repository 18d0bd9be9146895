import type { Readable } from 'node:stream';
import { type Cut, fieldValue, headerFields } from '@waypost/mail';
import { leaving } from '@waypost/spool';
import type { FieldTest } from './check.js';

/** Where the stored octets come from. */
export interface Source {
  /** The stored message. */
  body(): Promise<Buffer | Readable>;
  /** The same in memory, up to the scan limit; read once. */
  message(): Promise<Buffer>;
}

/** One form in which a message leaves policy, and the recipients who get it. */
export class Form {
  /** Header fields to put before the message, each ended by CRLF. */
  prepend = '';
  /** In place of the stored message. */
  replaced: Buffer | undefined;
  readonly #removed: FieldTest[] = [];

  constructor(
    public rcpts: ReadonlySet<number>,
    private readonly source: Source,
  ) {}

  /** @returns a form of its own for some of the recipients, the same as this one so far. */
  copy(rcpts: ReadonlySet<number>): Form {
    const form = new Form(rcpts, this.source);
    form.prepend = this.prepend;
    form.replaced = this.replaced;
    form.#removed.push(...this.#removed);
    return form;
  }

  remove(test: FieldTest): void {
    this.#removed.push(test);
  }

  body(): Promise<Buffer | Readable> {
    return this.replaced ? Promise.resolve(this.replaced) : this.source.body();
  }

  message(): Promise<Buffer> {
    return this.replaced ? Promise.resolve(this.replaced) : this.source.message();
  }

  /** @returns what of the octets does not leave. */
  async cut(): Promise<Cut> {
    if (this.#removed.length === 0) return [];
    const head = await this.message();
    return headerFields(head)
      .filter((field) => this.#removed.some((test) => test(field.name, fieldValue(head, field))))
      .map(({ start, end }) => [start, end] as const);
  }

  async leaving(): Promise<Buffer | Readable> {
    const [body, cut] = await Promise.all([this.body(), this.cut()]);
    return leaving(body, { prepend: this.prepend, cut });
  }
}
