import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

/** A client that sends exactly the octets it is told, for what no well-behaved client would send. */
export class SmtpDialog {
  #text = '';
  #ended = false;
  #more: (() => void) | undefined;

  private constructor(private socket: Socket) {
    this.#listen();
  }

  #listen(): void {
    this.socket.on('data', (data: Buffer) => {
      this.#text += data.toString('latin1');
      this.#more?.();
    });
    const ended = () => {
      this.#ended = true;
      this.#more?.();
    };
    this.socket.on('end', ended).on('close', ended).on('error', ended);
  }

  static async open(port: number, localAddress?: string): Promise<SmtpDialog> {
    const socket = connect({ port, host: '127.0.0.1', ...(localAddress ? { localAddress } : {}) });
    await once(socket, 'connect');
    return new SmtpDialog(socket);
  }

  static async openTls(port: number, servername?: string): Promise<SmtpDialog> {
    const socket = connectTls({
      port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ...(servername ? { servername } : {}),
    });
    await once(socket, 'secureConnect');
    return new SmtpDialog(socket);
  }

  /** Sends octets as they are. */
  write(data: string | Buffer): void {
    if (!this.socket.destroyed) this.socket.write(typeof data === 'string' ? Buffer.from(data, 'utf8') : data);
  }

  /** Sends a command line and reads its reply. */
  async say(line: string): Promise<string> {
    this.write(`${line}\r\n`);
    return this.reply();
  }

  /** @returns the next reply, all of its lines; '' when the connection ends first. */
  async reply(): Promise<string> {
    for (;;) {
      const found = /^(?:\d{3}-[^\r\n]*\r\n)*\d{3}(?: [^\r\n]*)?\r\n/.exec(this.#text);
      if (found) {
        this.#text = this.#text.slice(found[0].length);
        return found[0].trimEnd();
      }
      if (this.#ended) return '';
      await new Promise<void>((resolve) => {
        this.#more = resolve;
      });
    }
  }

  /** Resolves when the peer has ended the connection. */
  async closed(): Promise<void> {
    while (!this.#ended) {
      await new Promise<void>((resolve) => {
        this.#more = resolve;
      });
    }
  }

  /** Goes on under TLS, after STARTTLS was answered 220. */
  async upgrade(servername?: string): Promise<void> {
    this.socket.removeAllListeners();
    const socket = connectTls({
      socket: this.socket,
      rejectUnauthorized: false,
      ...(servername ? { servername } : {}),
    });
    await once(socket, 'secureConnect');
    this.socket = socket;
    this.#listen();
  }

  get destroyed(): boolean {
    return this.socket.destroyed;
  }

  /** The raw socket, for what has no method here. */
  get raw(): Socket {
    return this.socket;
  }

  close(): void {
    this.socket.destroy();
  }
}
