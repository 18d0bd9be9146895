import { createHash } from 'node:crypto';

/** Octets as text, one character each: V8 searches and replaces text several times faster than octets. */
const OCTETS = 'latin1';
/** Linear in any input: a run of blanks is looked at once. */
const BLANKS = /[ \t]{2,}|\t/g;
const NEEDS_WORK = /[ \t][ \t\r]|\t/;
const LINE_ENDS = 4096;

/**
 * One header field in relaxed form (RFC 6376 §3.4.2), without a line end.
 * @param field name, colon and value, as octets in text, with or without its line end.
 */
export function relaxedField(field: string): string {
  const colon = field.indexOf(':');
  const name = field.slice(0, colon).toLowerCase();
  const value = field
    .slice(colon + 1)
    .replaceAll('\r\n', '')
    .replace(BLANKS, ' ');
  return `${withoutBlanks(name)}:${withoutBlanks(value)}`;
}

/** Not trim(): that takes off 0xA0 too, which in octets is part of a character. */
function withoutBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start += 1;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

const isBlank = (code: number) => code === 0x20 || code === 0x09;

/** SHA-256 of a body in relaxed form (RFC 6376 §3.4.4), however the body is cut into chunks. Lines end in CRLF. */
export class RelaxedBodyHash {
  readonly #hash = createHash('sha256');
  /** What a chunk ended in and the next one decides on: a blank, a CR, or both. */
  #carry = '';
  /** Line ends that count only where something follows. */
  #lineEnds = 0;
  #empty = true;

  update(chunk: Buffer): void {
    const text = this.#carry + chunk.toString(OCTETS);
    let end = text.length;
    if (text.charCodeAt(end - 1) === 0x0d) end -= 1;
    const cr = text.length - end;
    while (end > 0 && isBlank(text.charCodeAt(end - 1))) end -= 1;
    this.#carry = (end + cr < text.length ? ' ' : '') + (cr > 0 ? '\r' : '');
    this.#add(relaxed(text.slice(0, end)));
  }

  /** @returns the hash in base64, as `bh=` has it. */
  digest(): string {
    // A CR that no LF follows is no line end.
    if (this.#carry.endsWith('\r')) this.#add(this.#carry);
    if (!this.#empty) this.#hash.update('\r\n');
    return this.#hash.digest('base64');
  }

  #add(text: string): void {
    let end = text.length;
    while (end > 1 && text.charCodeAt(end - 1) === 0x0a && text.charCodeAt(end - 2) === 0x0d) end -= 2;
    if (end > 0) {
      for (; this.#lineEnds > 0; this.#lineEnds -= Math.min(this.#lineEnds, LINE_ENDS)) {
        this.#hash.update('\r\n'.repeat(Math.min(this.#lineEnds, LINE_ENDS)));
      }
      this.#hash.update(text.slice(0, end), OCTETS);
      this.#empty = false;
    }
    this.#lineEnds += (text.length - end) / 2;
  }
}

function relaxed(text: string): string {
  return NEEDS_WORK.test(text) ? text.replace(BLANKS, ' ').replaceAll(' \r\n', '\r\n') : text;
}
