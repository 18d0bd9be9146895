const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const TAB = 0x09;
const DASH = 0x2d;

/** The pieces of a multipart body. */
export interface Pieces {
  readonly parts: readonly Buffer[];
  /** The closing delimiter was there. */
  readonly closed: boolean;
  /** There may be more parts than were wanted. */
  readonly cut: boolean;
}

/**
 * Splits a multipart body at its delimiter lines (RFC 2046 §5.1.1). The line end before a delimiter belongs to it.
 * Preamble and epilogue are left out.
 * @param most parts at most; the last one then has the rest.
 */
export function splitMultipart(body: Buffer, boundary: string, most: number): Pieces {
  const parts: Buffer[] = [];
  let start = -1;
  for (const line of delimiters(body, boundary)) {
    if (start >= 0) parts.push(body.subarray(start, Math.max(start, lineEndBefore(body, line.at))));
    if (line.closing) return { parts, closed: true, cut: false };
    start = line.next;
    if (parts.length < most - 1) continue;
    parts.push(body.subarray(start));
    return { parts, closed: false, cut: true };
  }
  if (start >= 0) parts.push(body.subarray(start));
  return { parts, closed: false, cut: false };
}

interface Delimiter {
  readonly at: number;
  /** Offset of the line after it. */
  readonly next: number;
  readonly closing: boolean;
}

function* delimiters(body: Buffer, boundary: string): Generator<Delimiter> {
  const mark = Buffer.from(`--${boundary}`, 'utf8');
  for (let at = body.indexOf(mark); at >= 0; at = body.indexOf(mark, at + 1)) {
    if (at > 0 && body[at - 1] !== LF) continue;
    let after = at + mark.length;
    const closing = body[after] === DASH && body[after + 1] === DASH;
    if (closing) after += 2;
    while (body[after] === SPACE || body[after] === TAB) after += 1;
    if (body[after] === CR) after += 1;
    // Some writers put text after the closing delimiter's dashes, which end it all the same.
    if (after < body.length && body[after] !== LF && !closing) continue;
    yield { at, next: Math.min(after + 1, body.length), closing };
  }
}

function lineEndBefore(body: Buffer, at: number): number {
  if (at < 1 || body[at - 1] !== LF) return at;
  return body[at - 2] === CR ? at - 2 : at - 1;
}

/** @returns the boundary that a body seems to use, from its first line of dashes; undefined where there is none. */
export function guessBoundary(body: Buffer): string | undefined {
  return /^--([^\s-][^\r\n]{0,69}?)[ \t]*\r?$/m.exec(body.toString('latin1', 0, 4_096))?.[1];
}
