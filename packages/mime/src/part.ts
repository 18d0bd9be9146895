import { type FieldSpan, fieldValue, headerEnd, headerFields } from '@waypost/mail';
import { decodeCharset } from './charset.js';
import type { MailField, MailPart } from './message.js';
import { parseParameters, type Structured } from './parameters.js';
import { decodeBase64, decodeQuotedPrintable } from './transfer.js';
import { decodeWords } from './words.js';

/** Where a part stands, and what it is where it does not say. */
export interface Place {
  readonly path: string;
  readonly depth: number;
  readonly defaultType: string;
}

const IDENTITY = new Set(['7bit', '8bit', 'binary']);
const NOTHING: Structured = { value: '', parameters: new Map(), repeated: [] };
const TOKEN_TYPE = /^[!-'*+\-.0-9A-Z^-~]+\/[!-'*+\-.0-9A-Z^-~]+$/i;

/** A part's own header section and body; what is decoded is decoded at the first use. */
export class Part implements MailPart {
  readonly path: string;
  readonly depth: number;
  readonly type: string;
  readonly parameters: ReadonlyMap<string, string>;
  readonly disposition: string;
  readonly filenames: readonly string[];
  readonly encoding: string;
  readonly raw: Buffer;
  readonly parts: MailPart[] = [];
  readonly headerEnds: boolean;
  /** Content-Type, its transfer encoding or a parameter comes twice. */
  readonly repeats: { readonly field: boolean; readonly parameter: boolean };
  readonly #spans: readonly FieldSpan[];
  #fields: readonly MailField[] | undefined;
  #content: Buffer | undefined;
  #text: string | undefined;

  constructor(
    readonly whole: Buffer,
    place: Place,
    private readonly textLimit: number,
  ) {
    const end = headerEnd(whole);
    this.headerEnds = end >= 0;
    const bodyAt = end < 0 ? whole.length : end;
    this.#spans = headerFields(whole, bodyAt);
    this.raw = whole.subarray(bodyAt);
    this.path = place.path;
    this.depth = place.depth;
    const declared = this.#structured('content-type');
    this.type = TOKEN_TYPE.test(declared.value) ? declared.value : place.defaultType;
    this.parameters = declared.parameters;
    const disposition = this.#structured('content-disposition');
    this.disposition = disposition.value;
    this.encoding = encodingOf(this.header('content-transfer-encoding'));
    this.filenames = namesIn(disposition, declared);
    this.repeats = {
      field: STRUCTURE.some((name) => this.#spans.filter((span) => span.name === name).length > 1),
      parameter: declared.repeated.length > 0 || disposition.repeated.length > 0,
    };
  }

  /** Its content are other octets than those that stand in the message. */
  get isEncoded(): boolean {
    return this.encoding === 'base64' || this.encoding === 'quoted-printable';
  }

  get filename(): string | undefined {
    return this.filenames[0];
  }

  get fields(): readonly MailField[] {
    this.#fields ??= this.#spans.map((span) => ({ name: span.name, value: fieldValue(this.whole, span) }));
    return this.#fields;
  }

  header(name: string): string | undefined {
    const span = this.#spans.find((one) => one.name === name);
    return span && fieldValue(this.whole, span);
  }

  headers(name: string): string[] {
    return this.#spans.filter((one) => one.name === name).map((span) => fieldValue(this.whole, span));
  }

  content(): Buffer {
    this.#content ??= decode(this.raw, this.encoding);
    return this.#content;
  }

  beginning(octets: number): Buffer {
    // Three octets become four in base64, or one becomes three in quoted-printable; line ends come on top.
    const encoded = this.raw.subarray(0, octets * 3 + 100);
    return decode(encoded, this.encoding).subarray(0, octets);
  }

  text(): string {
    this.#text ??= decodeCharset(this.content().subarray(0, this.textLimit), this.parameters.get('charset'));
    return this.#text;
  }

  #structured(name: string): Structured {
    const value = this.header(name);
    return value === undefined ? NOTHING : parseParameters(value);
  }
}

const STRUCTURE = ['content-type', 'content-transfer-encoding', 'content-disposition'];

/** @returns the encoding's token; some writers put a comment or a semicolon after it. */
function encodingOf(value: string | undefined): string {
  return /^[^\s;(]+/.exec(value?.trim().toLowerCase() ?? '')?.[0] ?? '7bit';
}

export const isKnownEncoding = (encoding: string) =>
  IDENTITY.has(encoding) || encoding === 'base64' || encoding === 'quoted-printable';

function decode(raw: Buffer, encoding: string): Buffer {
  if (encoding === 'base64') return decodeBase64(raw);
  return encoding === 'quoted-printable' ? decodeQuotedPrintable(raw) : raw;
}

function namesIn(disposition: Structured, type: Structured): string[] {
  const names = [
    disposition.parameters.get('filename'),
    type.parameters.get('name'),
    ...[...disposition.repeated, ...type.repeated]
      .filter(({ name }) => name === 'filename' || name === 'name')
      .map(({ value }) => value),
  ];
  return [...new Set(names.filter((name) => name !== undefined && name !== '').map((name) => decodeWords(name ?? '')))];
}
