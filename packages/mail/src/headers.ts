const CR = 0x0d;
const LF = 0x0a;
const COLON = 0x3a;

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
  if (buffer[0] === CR && buffer[1] === LF) return 2;
  const at = buffer.indexOf('\r\n\r\n');
  return at < 0 ? -1 : at + 4;
}

/** Splits the header section into fields. Lines that are no field are passed over; nothing throws. */
export function headerFields(buffer: Buffer, end = sectionEnd(buffer)): FieldSpan[] {
  const fields: FieldSpan[] = [];
  let at = 0;
  while (at < end) {
    let next = lineEnd(buffer, at, end);
    while (next < end && (buffer[next] === 0x20 || buffer[next] === 0x09)) next = lineEnd(buffer, next, end);
    const colon = buffer.indexOf(COLON, at);
    if (colon > at && colon < next) {
      const name = buffer.toString('latin1', at, colon).trimEnd();
      if (/^[\x21-\x39\x3b-\x7e]+$/.test(name)) fields.push({ name: name.toLowerCase(), start: at, value: colon + 1, end: next });
    }
    at = next;
  }
  return fields;
}

function sectionEnd(buffer: Buffer): number {
  const end = headerEnd(buffer);
  return end < 0 ? buffer.length : end;
}

function lineEnd(buffer: Buffer, from: number, end: number): number {
  const at = buffer.indexOf(LF, from);
  return at < 0 || at >= end ? end : at + 1;
}

/** @returns a field's value unfolded and trimmed, UTF-8. */
export function fieldValue(buffer: Buffer, field: FieldSpan): string {
  return buffer.toString('utf8', field.value, field.end).replace(/\r?\n[ \t]*/g, ' ').trim();
}

/** @returns the buffer without these fields; the same buffer where there are none. */
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

/** Finds bare CR and bare LF over the chunks of a stream (RFC 5321 §2.3.8). */
export class LineEndScanner {
  #afterCr = false;

  /** @returns whether the chunk, in its place in the stream, has a CR without LF or an LF without CR. */
  hasBare(chunk: Buffer): boolean {
    if (chunk.length === 0) return false;
    if (this.#afterCr !== (chunk[0] === LF)) return true;
    this.#afterCr = chunk[chunk.length - 1] === CR;
    let lf = chunk.indexOf(LF, this.#startsWithLf(chunk));
    let crs = 0;
    while (lf >= 0) {
      if (chunk[lf - 1] !== CR) return true;
      crs += 1;
      lf = chunk.indexOf(LF, lf + 1);
    }
    return countCr(chunk) !== crs + (this.#afterCr ? 1 : 0);
  }

  /** @returns whether the stream ended in a CR. */
  endsBare(): boolean {
    return this.#afterCr;
  }

  #startsWithLf(chunk: Buffer): number {
    return chunk[0] === LF ? 1 : 0;
  }
}

function countCr(chunk: Buffer): number {
  let count = 0;
  for (let at = chunk.indexOf(CR); at >= 0; at = chunk.indexOf(CR, at + 1)) count += 1;
  return count;
}

/** Turns every bare CR and bare LF of a stream into CRLF. */
export class LineEndNormaliser {
  #afterCr = false;

  push(chunk: Buffer): Buffer {
    const out: number[] = [];
    for (const octet of chunk) {
      if (this.#afterCr && octet !== LF) out.push(LF);
      else if (octet === LF && !this.#afterCr) out.push(CR);
      out.push(octet);
      this.#afterCr = octet === CR;
    }
    return Buffer.from(out);
  }

  /** @returns what is owed at the end. */
  end(): Buffer {
    const owed = this.#afterCr;
    this.#afterCr = false;
    return owed ? Buffer.from([LF]) : Buffer.alloc(0);
  }
}
