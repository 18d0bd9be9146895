import { SMTPStream } from 'smtp-server/lib/smtp-stream.js';

const LF = 0x0a;
const CR = 0x0d;
const DOT = 0x2e;
/** Octets held back, as the final `CRLF.CRLF` may lie across two chunks. */
const HELD = 4;

/**
 * smtp-server's parser of what a client sends, with two differences: a command line that ends in a bare LF is reported
 * (RFC 5321 §2.3.8), and the search for dots in a message uses `indexOf`, where upstream looks at every octet in JavaScript.
 */
export class InputStream extends SMTPStream {
  onBareLf: () => void = () => undefined;
  #lastOctet = 0;

  override _write(chunk: Buffer, encoding: BufferEncoding, next: (error?: Error | null) => void): void {
    if (!this._dataMode && !this.isClosed && this.#hasBareLf(chunk)) this.onBareLf();
    if (chunk.length > 0) this.#lastOctet = chunk[chunk.length - 1] as number;
    super._write(chunk, encoding, next);
  }

  /** Undoes dot stuffing and finds the end of the message (RFC 5321 §4.5.2); only CRLF.CRLF ends it. */
  override _feedDataStream(chunk: Buffer, done: () => void): void {
    const data = this._lastBytes && this._lastBytes.length > 0 ? Buffer.concat([this._lastBytes, chunk]) : chunk;
    this._lastBytes = false;
    let from = 0;
    if (this._atDataStart && data[0] === DOT) {
      if (data[1] === CR && data[2] === LF) return this._endDataMode(false, data.subarray(3), done);
      if (data[1] === DOT) from = this.#stripAtStart();
    }
    const parts: Buffer[] = [];
    for (let lf = data.indexOf('\n.', 1); lf >= 0 && lf + 3 < data.length; lf = data.indexOf('\n.', lf + 1)) {
      const dot = lf + 1;
      if (data[dot + 1] === DOT) {
        parts.push(data.subarray(from, dot));
        from = dot + 1;
      } else if (data[dot + 1] === CR && data[dot + 2] === LF && data[lf - 1] === CR) {
        const last = this.#joined(parts, data.subarray(from, dot));
        this._countDataBytes(last.length);
        return this._endDataMode(last, data.subarray(dot + 3), done);
      }
    }
    const held = Math.max(from, data.length - HELD);
    this._lastBytes = data.subarray(held);
    this.#pass(this.#joined(parts, data.subarray(from, held)), done);
  }

  /** The stuffed dot of the first line is consumed: what follows is content, and no end of the message. */
  #stripAtStart(): number {
    this._atDataStart = false;
    return 1;
  }

  #joined(parts: Buffer[], last: Buffer): Buffer {
    return parts.length === 0 ? last : Buffer.concat([...parts, last]);
  }

  #pass(content: Buffer, done: () => void): void {
    const stream = this._dataStream;
    if (content.length === 0) return done();
    this._countDataBytes(content.length);
    if (!stream?.writable || stream.write(content) || stream.destroyed) return done();
    const go = () => {
      stream.off('drain', go).off('close', go);
      done();
    };
    stream.on('drain', go).on('close', go);
  }

  #hasBareLf(chunk: Buffer): boolean {
    for (let at = chunk.indexOf(LF); at >= 0; at = chunk.indexOf(LF, at + 1)) {
      if ((at === 0 ? this.#lastOctet : chunk[at - 1]) !== CR) return true;
    }
    return false;
  }
}
