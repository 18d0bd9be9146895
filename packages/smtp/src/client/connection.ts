import type { Socket } from 'node:net';
import { Writable } from 'node:stream';
import { LineEndScanner } from '@waypost/mail';
import SMTPConnection from 'nodemailer/lib/smtp-connection';

const DOT = 0x2e;
const LF = 0x0a;
const CR = 0x0d;
const CRLF_DOT = Buffer.from('\r\n.\r\n');
const ONLY_DOT = Buffer.from('.\r\n');
const STUFF = Buffer.from('.');

/** What upstream's class has and its typings leave out. */
interface Internals {
  _socket: Socket | false | null;
  _envelope?: { rejectedErrors?: RefusedRecipient[]; accepted?: string[] };
  _supportedExtensions: string[];
  _maxAllowedSize: number | false;
  _responseActions: ((text: string) => void)[];
  _onConnect(): void;
  _sendCommand(line: string): void;
  _actionSMTPStream(text: string, callback: unknown): void;
  _actionLMTPStream(recipient: string, final: boolean, text: string, callback: unknown): void;
}

export type RefusedRecipient = Error & { readonly recipient?: string; readonly response?: string };

/**
 * nodemailer's connection, which pipelines MAIL, RCPT and DATA, with a shorter way for bodies that are in memory: upstream
 * looks at every octet in JavaScript, here `indexOf` finds the few lines that need a dot, and the buffers go out as they are.
 */
export class ClientConnection extends SMTPConnection {
  /** Whether the final dot of the current message was written. */
  dotSent = false;
  /** LMTP: what was answered after the final dot, by recipient (RFC 2033 §4.2). */
  readonly answered = new Map<string, string>();

  /** Where the connection comes from; a socket forgets it when it ends. */
  localAddress: string | undefined;

  /** Called by upstream once the socket is connected. */
  _onConnect(): void {
    const { _socket: socket } = this.internals;
    this.localAddress = socket ? socket.localAddress : undefined;
    (SMTPConnection.prototype as unknown as Internals)._onConnect.call(this);
  }

  /** The next MAIL asks for SMTPUTF8. */
  #utf8 = false;

  /**
   * To be called before each message.
   * @param utf8 it needs SMTPUTF8; upstream sees that of addresses alone, not of header fields.
   */
  begin(utf8 = false): void {
    this.#utf8 = utf8;
    this.dotSent = false;
    this.answered.clear();
  }

  get internals(): Internals {
    return this as unknown as Internals;
  }

  /** Called by upstream for each command. */
  _sendCommand(line: string): void {
    const add = this.#utf8 && line.startsWith('MAIL FROM:') && !/ SMTPUTF8\b/.test(line);
    (SMTPConnection.prototype as unknown as Internals)._sendCommand.call(this, add ? `${line} SMTPUTF8` : line);
  }

  /** Called by upstream once DATA was answered 354. */
  _createSendStream(callback: (error: Error | null, text?: string) => void) {
    const { internals } = this;
    const socket = internals._socket as Socket;
    const accepted = this.options.lmtp ? [...(internals._envelope?.accepted ?? [])] : [''];
    accepted.forEach((recipient, at) => {
      internals._responseActions.push((text) => {
        if (!this.options.lmtp) return internals._actionSMTPStream(text, callback);
        this.answered.set(recipient, text);
        internals._actionLMTPStream(recipient, at === accepted.length - 1, text, callback);
      });
    });
    const writer = new DotWriter(socket, () => {
      this.dotSent = true;
    });
    // Half a message is on its way, so that only the end of the connection can end it.
    writer.on('error', (error) => {
      callback(error);
      this.close();
    });
    return writer;
  }
}

/** Writes a message with dots stuffed and the final dot (RFC 5321 §4.5.2); takes what upstream gives a stream. */
class DotWriter extends Writable {
  outByteCount = 0;
  readonly #scanner = new LineEndScanner();
  #atLineStart = true;
  #lastOctet = LF;

  constructor(
    private readonly socket: Socket,
    private readonly onDot: () => void,
  ) {
    super({ highWaterMark: 65_536 });
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, next: (error?: Error | null) => void): void {
    // What we store has only CRLF; were it otherwise, relaying it could smuggle a second message onward.
    if (this.#scanner.hasBare(chunk)) return next(new Error('the stored message has a bare CR or LF'));
    this.socket.cork();
    const flushed = this.#writeStuffed(chunk);
    process.nextTick(() => this.socket.uncork());
    if (chunk.length > 0) this.#lastOctet = chunk[chunk.length - 1] as number;
    this.#atLineStart = this.#lastOctet === LF;
    if (flushed || this.socket.destroyed) next();
    else this.#whenDrained(next);
  }

  override _final(next: (error?: Error | null) => void): void {
    if (this.#lastOctet === CR) return next(new Error('the stored message ends in a bare CR'));
    this.socket.write(this.#atLineStart ? ONLY_DOT : CRLF_DOT);
    this.onDot();
    next();
  }

  #writeStuffed(chunk: Buffer): boolean {
    let from = 0;
    let flushed = true;
    if (this.#atLineStart && chunk[0] === DOT) flushed = this.#put(STUFF);
    for (let at = chunk.indexOf('\n.'); at >= 0; at = chunk.indexOf('\n.', at + 1)) {
      this.#put(chunk.subarray(from, at + 1));
      this.#put(STUFF);
      from = at + 1;
    }
    if (from < chunk.length) flushed = this.#put(from === 0 ? chunk : chunk.subarray(from));
    return flushed;
  }

  #put(piece: Buffer): boolean {
    this.outByteCount += piece.length;
    return this.socket.write(piece);
  }

  #whenDrained(next: () => void): void {
    const done = () => {
      this.socket.off('drain', done).off('close', done);
      next();
    };
    this.socket.on('drain', done).on('close', done);
  }
}
