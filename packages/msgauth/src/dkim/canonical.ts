import { createHash, type Hash } from 'node:crypto';

export type Canonicalization = 'simple' | 'relaxed';

/**
 * @param raw a field with its final CRLF, one character an octet.
 * @returns it canonicalized, with CRLF at its end (RFC 6376 §3.4.1, §3.4.2).
 */
export function canonicalField(raw: string, way: Canonicalization): string {
  if (way === 'simple') return raw;
  const colon = raw.indexOf(':');
  const name = raw.slice(0, colon).replace(/[ \t\r\n]+/g, '');
  const value = raw
    .slice(colon + 1)
    .replace(/\r?\n/g, '')
    .replace(/[ \t]+/g, ' ');
  const start = value.startsWith(' ') ? 1 : 0;
  const end = value.length > start && value.endsWith(' ') ? value.length - 1 : value.length;
  return `${name.replace(/[A-Z]+/g, (part) => part.toLowerCase())}:${value.slice(start, end)}\r\n`;
}

/** What is to be hashed of a body. */
export interface BodyHashing {
  readonly way: Canonicalization;
  readonly algorithm: 'sha256' | 'sha1';
  /** Canonical octets that are hashed at most (l=). */
  readonly length?: number | undefined;
}

export interface BodyHash {
  readonly digest: Buffer;
  /** Canonical octets of the whole body. */
  readonly octets: number;
}

/** A message in memory, or as it comes. */
export type Octets = Buffer | AsyncIterable<Buffer>;

/** Octets that are hashed in one go: half a millisecond; then others have their turn. */
const SLICE = 262_144;
const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;
const TAB = 0x09;
const CRLF = Buffer.from('\r\n');
const NOTHING = Buffer.alloc(0);

/**
 * Hashes a body (RFC 6376 §3.4.3, §3.4.4, §3.7), a long one in slices, so that the event loop is not held up.
 * @param bodyAt octets of the message before the body.
 */
export async function hashBody(message: Octets, bodyAt: number, hashing: BodyHashing): Promise<BodyHash> {
  const sink = createSink(createHash(hashing.algorithm), hashing.length);
  const feed = hashing.way === 'simple' ? simpleFeed(sink) : relaxedFeed(sink);
  if (Buffer.isBuffer(message) && message.length - bodyAt <= SLICE) feed.push(message.subarray(bodyAt));
  else for await (const piece of uncut(message, bodyAt)) feed.push(piece);
  feed.end();
  return { digest: sink.hash.digest(), octets: sink.octets };
}

/** The body in pieces, of which none ends between CR and LF. */
async function* uncut(message: Octets, bodyAt: number): AsyncGenerator<Buffer, void> {
  let before = bodyAt;
  let held: Buffer = NOTHING;
  for await (const chunk of Buffer.isBuffer(message) ? slices(message) : message) {
    const body = chunk.subarray(Math.min(before, chunk.length));
    before -= chunk.length - body.length;
    const piece = held.length > 0 ? Buffer.concat([held, body]) : body;
    const open = piece[piece.length - 1] === CR;
    held = open ? piece.subarray(-1) : NOTHING;
    yield open ? piece.subarray(0, -1) : piece;
  }
  if (held.length > 0) yield held;
}

async function* slices(message: Buffer): AsyncGenerator<Buffer, void> {
  for (let at = 0; at < message.length; at += SLICE) {
    if (at > 0) await new Promise<void>((resolve) => setImmediate(resolve));
    yield message.subarray(at, at + SLICE);
  }
}

interface Sink {
  readonly hash: Hash;
  octets: number;
  take(octets: Buffer): void;
}

function createSink(hash: Hash, length = Number.POSITIVE_INFINITY): Sink {
  const sink: Sink = {
    hash,
    octets: 0,
    take(chunk) {
      const room = length - sink.octets;
      sink.octets += chunk.length;
      if (room > 0) hash.update(chunk.length > room ? chunk.subarray(0, room) : chunk);
    },
  };
  return sink;
}

/** Takes a body piece by piece. */
interface Feed {
  push(piece: Buffer): void;
  end(): void;
}

/** Empty lines at the end become one CRLF, which an empty body is given too. */
function simpleFeed(sink: Sink): Feed {
  let lines = 0;
  return {
    push(piece) {
      let end = piece.length;
      while (end >= 2 && piece[end - 1] === LF && piece[end - 2] === CR) end -= 2;
      if (end > 0) {
        for (; lines > 0; lines -= 1) sink.take(CRLF);
        sink.take(piece.subarray(0, end));
      }
      lines += (piece.length - end) / 2;
    },
    end: () => sink.take(CRLF),
  };
}

interface Relaxing {
  /** Line ends since the last octet that counts. */
  lines: number;
  blank: boolean;
  any: boolean;
}

/** Runs of blanks become one space, those at line ends and empty lines at the end nothing. */
function relaxedFeed(sink: Sink): Feed {
  const state: Relaxing = { lines: 0, blank: false, any: false };
  let out: Buffer = NOTHING;
  return {
    push(piece) {
      if (out.length < Math.min(piece.length, SLICE) + ROOM)
        out = Buffer.allocUnsafe(Math.min(piece.length, SLICE) + ROOM);
      relax(piece, state, out, sink);
    },
    end: () => {
      if (state.any) sink.take(CRLF);
    },
  };
}

/** What one octet of a body may become: a line end or a space, and itself. */
const ROOM = 4;

function relax(piece: Buffer, state: Relaxing, out: Buffer, sink: Sink): void {
  let { lines, blank, any } = state;
  const full = out.length - ROOM;
  let n = 0;
  for (let i = 0; i < piece.length; i += 1) {
    const octet = piece[i] as number;
    if (octet === LF) {
      lines += 1;
      blank = false;
    } else if (octet === SPACE || octet === TAB) {
      blank = true;
    } else if (octet !== CR || piece[i + 1] !== LF) {
      while (lines > 0) {
        lines -= 1;
        out[n++] = CR;
        out[n++] = LF;
        if (n > full) n = drain(out, n, sink);
      }
      if (blank) out[n++] = SPACE;
      out[n++] = octet;
      blank = false;
      any = true;
      if (n > full) n = drain(out, n, sink);
    }
  }
  drain(out, n, sink);
  state.lines = lines;
  state.blank = blank;
  state.any = any;
}

function drain(out: Buffer, n: number, sink: Sink): number {
  if (n > 0) sink.take(out.subarray(0, n));
  return 0;
}
