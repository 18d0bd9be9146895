const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;
const TAB = 0x09;
const FIRST_WINDOW = 4096;
const EMPTY_LINE = /\n\r?\n/;
const FIELD_NAME = /^[\x21-\x39\x3b-\x7e]+$/;

/** One header field's place in a buffer; the end includes its line end. */
export interface FieldSpan {
  /** Name in lower case. */
  readonly name: string;
  readonly start: number;
  /** First octet after the colon. */
  readonly value: number;
  readonly end: number;
}

/**
 * Finds the end of the header section: the offset just after the empty line (RFC 5322 §2.1).
 * @returns -1 where it has not come yet.
 */
export function headerEnd(buffer: Buffer): number {
  if (buffer[0] === LF) return 1;
  if (buffer[0] === CR && buffer[1] === LF) return 2;
  // Searched as text, where V8 is several times faster than over octets, and in windows, as bodies are long.
  for (let from = 0, window = FIRST_WINDOW; from < buffer.length; window *= 4) {
    const text = buffer.toString('latin1', from, from + window);
    const match = EMPTY_LINE.exec(text);
    if (match) return from + match.index + match[0].length;
    if (from + window >= buffer.length) return -1;
    from += window - 2;
  }
  return -1;
}

/** Splits the header section into fields. Lines that are no field are passed over; nothing throws. */
export function headerFields(buffer: Buffer, end = sectionEnd(buffer)): FieldSpan[] {
  const text = buffer.toString('latin1', 0, end);
  const fields: FieldSpan[] = [];
  for (let at = 0; at < text.length; ) {
    const first = lineEnd(text, at);
    let next = first;
    while (next < text.length && isBlank(text.charCodeAt(next))) next = lineEnd(text, next);
    const colon = text.slice(at, first).indexOf(':');
    const name = colon > 0 ? text.slice(at, at + colon).trimEnd() : '';
    if (FIELD_NAME.test(name)) {
      fields.push({ name: name.toLowerCase(), start: at, value: at + colon + 1, end: next });
    }
    at = next;
  }
  return fields;
}

const isBlank = (code: number) => code === SPACE || code === TAB;

function sectionEnd(buffer: Buffer): number {
  const end = headerEnd(buffer);
  return end < 0 ? buffer.length : end;
}

function lineEnd(text: string, from: number): number {
  const at = text.indexOf('\n', from);
  return at < 0 ? text.length : at + 1;
}

/** @returns a field's value unfolded and trimmed, UTF-8 (RFC 5322 §2.2.3). */
export function fieldValue(buffer: Buffer, field: FieldSpan): string {
  return buffer
    .toString('utf8', field.value, field.end)
    .replace(/[\r\n]+[ \t]*/g, ' ')
    .trim();
}

/** @returns the value of the first field of this name (in lower case), or undefined. */
export function firstValue(buffer: Buffer, fields: readonly FieldSpan[], name: string): string | undefined {
  const field = fields.find((one) => one.name === name);
  return field && fieldValue(buffer, field);
}

/**
 * @param fields in their order in the buffer.
 * @returns the buffer without these fields; the same buffer where there are none.
 */
export function withoutFields(buffer: Buffer, fields: readonly FieldSpan[]): Buffer {
  if (fields.length === 0) return buffer;
  const parts: Buffer[] = [];
  let at = 0;
  for (const field of fields) {
    parts.push(buffer.subarray(at, field.start));
    at = field.end;
  }
  parts.push(buffer.subarray(at));
  return Buffer.concat(parts);
}

/**
 * @returns whether a machine or a list sent the message, so that a person need not hear of a mere delay (RFC 3834 §5,
 *   RFC 2919, and the older Precedence).
 */
export function isAutomatic(buffer: Buffer, fields: readonly FieldSpan[]): boolean {
  return fields.some((field) => {
    if (field.name === 'list-id' || field.name === 'list-post' || field.name === 'list-unsubscribe') return true;
    if (field.name === 'precedence') return /^(?:bulk|list|junk)\b/i.test(fieldValue(buffer, field));
    return field.name === 'auto-submitted' && !/^no\b/i.test(fieldValue(buffer, field));
  });
}

/** @returns whether the buffer is ASCII throughout, so that it goes anywhere without 8BITMIME (RFC 6152). */
export function isSevenBit(buffer: Buffer): boolean {
  return !/[\x80-\xff]/.test(buffer.toString('latin1'));
}
