import type { Readable } from 'node:stream';
import { type BodyRef, type Cut, fieldValue, headerFields, type JudgedForm } from '@waypost/mail';
import { type ParsedMail, parseMail } from '@waypost/mime';
import { leaving } from '@waypost/spool';
import type { FieldTest } from './check.js';

/** Where the stored octets come from. */
export interface Source {
  /** The stored message, or another stored form of it. */
  body(ref?: BodyRef): Promise<Buffer | Readable>;
  /** The same in memory, up to the scan limit; read once. */
  message(ref?: BodyRef): Promise<Buffer>;
  /** That, taken apart once. */
  mail(ref?: BodyRef): Promise<ParsedMail>;
}

/** One form in which a message leaves policy, and the recipients who get it. */
export class Form {
  /** Header fields to put before the message, each ended by CRLF. */
  prepend = '';
  /** In place of what is stored. */
  #replaced: Buffer | undefined;
  #parsed: Promise<ParsedMail> | undefined;
  /** What an earlier judgement made of the stored message. */
  #before: Pick<JudgedForm, 'ref' | 'cut'> | undefined;
  readonly #removed: FieldTest[] = [];

  constructor(
    public rcpts: ReadonlySet<number>,
    private readonly source: Source,
  ) {}

  /** @returns a form to go on with. */
  static from({ rcpts, prepend = '', ...before }: JudgedForm, source: Source): Form {
    const form = new Form(new Set(rcpts), source);
    form.prepend = prepend;
    form.#before = before;
    return form;
  }

  /** @returns a form of its own for some of the recipients, the same as this one so far. */
  copy(rcpts: ReadonlySet<number>): Form {
    const form = new Form(rcpts, this.source);
    form.prepend = this.prepend;
    form.#replaced = this.#replaced;
    form.#before = this.#before;
    form.#removed.push(...this.#removed);
    return form;
  }

  remove(test: FieldTest): void {
    this.#removed.push(test);
  }

  replace(body: Buffer): void {
    this.#replaced = body;
    this.#parsed = undefined;
  }

  /** What is to be stored, where the octets are others than those stored. */
  get replaced(): Buffer | undefined {
    return this.#replaced;
  }

  /** The stored octets that this form began with; absent where those are the message's own. */
  get ref(): BodyRef | undefined {
    return this.#before?.ref.variant ? this.#before.ref : undefined;
  }

  async body(): Promise<Buffer | Readable> {
    return this.#replaced ?? this.source.body(this.ref);
  }

  async message(): Promise<Buffer> {
    return this.#replaced ?? this.source.message(this.ref);
  }

  mail(): Promise<ParsedMail> {
    if (!this.#replaced) return this.source.mail(this.ref);
    this.#parsed ??= Promise.resolve(parseMail(this.#replaced));
    return this.#parsed;
  }

  /** @returns what of the octets does not leave. */
  async cut(): Promise<Cut> {
    const before = this.#before?.cut ?? [];
    if (this.#removed.length === 0 && (before.length === 0 || !this.#replaced)) return before;
    const head = await this.message();
    const tests = [...this.#removed];
    const starts = new Set<number>();
    if (this.#replaced && before.length > 0) tests.push(await this.#cutBefore(before));
    else for (const [start] of before) starts.add(start);
    return headerFields(head)
      .filter((field) => starts.has(field.start) || tests.some((test) => test(field.name, fieldValue(head, field))))
      .map(({ start, end }) => [start, end] as const);
  }

  async leaving(): Promise<Buffer | Readable> {
    const [body, cut] = await Promise.all([this.body(), this.cut()]);
    return leaving(body, { prepend: this.prepend, cut });
  }

  /** What was cut out of the octets before them is to be cut out of these. */
  async #cutBefore(before: Cut): Promise<FieldTest> {
    const octets = await this.source.message(this.ref);
    const starts = new Set(before.map(([start]) => start));
    const cut = headerFields(octets).filter(({ start }) => starts.has(start));
    const known = new Set(cut.map((field) => `${field.name}:${fieldValue(octets, field)}`));
    return (name, value) => known.has(`${name}:${value}`);
  }
}
