import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';

/** A message as a peer took it: the envelope's commands word for word, the body with dots taken off. */
export interface PeerMessage {
  readonly mail: string;
  readonly rcpts: readonly string[];
  readonly body: Buffer;
  /** Number of the connection it came over, from 1. */
  readonly connection: number;
  readonly secure: boolean;
}

/** What to answer: one or more lines without CRLF, `drop` to cut the connection, `hang` to say nothing. */
export type Answer = string | 'drop' | 'hang' | undefined;
export type Phase = 'greeting' | 'ehlo' | 'starttls' | 'auth' | 'mail' | 'rcpt' | 'data' | 'dot' | 'rset' | 'quit';

/**
 * Decides an answer; undefined is the usual one.
 * @param line the command, or '' at greeting and dot; LMTP asks `dot` once a recipient with its RCPT command.
 */
export type Script = (
  phase: Phase,
  line: string,
  state: { readonly connection: number; readonly message: number; readonly address: string },
) => Answer | Promise<Answer>;

export interface PeerOptions {
  readonly script?: Script;
  readonly extensions?: readonly string[];
  readonly lmtp?: boolean;
  /** Offers STARTTLS with this identity, PEM. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

const USUAL: Record<Phase, string> = {
  greeting: '220 peer.test ESMTP',
  ehlo: '',
  starttls: '220 2.0.0 go on',
  auth: '235 2.7.0 welcome',
  mail: '250 2.1.0 ok',
  rcpt: '250 2.1.5 ok',
  data: '354 go on',
  dot: '250 2.0.0 taken',
  rset: '250 2.0.0 ok',
  quit: '221 2.0.0 bye',
};

/** A mail server for replies that no real one gives on demand: a script decides each of them. */
export class SmtpPeer {
  readonly messages: PeerMessage[] = [];
  /** Every command, in order. */
  readonly commands: string[] = [];
  connections = 0;
  readonly #sockets = new Set<Socket>();

  private constructor(private readonly server: Server) {}

  static async start(options: PeerOptions = {}, port = 0, host = '127.0.0.1'): Promise<SmtpPeer> {
    const server = createServer();
    const peer = new SmtpPeer(server);
    server.on('connection', (socket) => {
      peer.connections += 1;
      void new Session(socket, peer, options, peer.connections).run().catch(() => socket.destroy());
      peer.#sockets.add(socket);
      socket.on('close', () => peer.#sockets.delete(socket));
    });
    server.listen(port, host);
    await once(server, 'listening');
    return peer;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get open(): number {
    return this.#sockets.size;
  }

  async stop(): Promise<void> {
    this.server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.server, 'close');
  }
}

class Session {
  #socket: Socket;
  #buffer = Buffer.alloc(0);
  #more: (() => void) | undefined;
  #message = 0;
  private readonly address: string;

  constructor(
    socket: Socket,
    private readonly peer: SmtpPeer,
    private readonly options: PeerOptions,
    private readonly connection: number,
  ) {
    this.#socket = socket;
    this.address = socket.remoteAddress ?? '';
    this.#listen();
  }

  #listen(): void {
    this.#socket.on('data', (data) => {
      this.#buffer = Buffer.concat([this.#buffer, data as Buffer]);
      this.#more?.();
    });
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => this.#more?.());
  }

  async run(): Promise<void> {
    let mail = '';
    let rcpts: string[] = [];
    await this.#answer('greeting', '');
    for (let line = await this.#line(); line !== undefined; line = await this.#line()) {
      this.peer.commands.push(line);
      const verb = line.slice(0, 4).toUpperCase();
      if (verb === 'EHLO' || verb === 'LHLO' || verb === 'HELO') await this.#answer('ehlo', line, this.#ehlo());
      else if (verb === 'STAR') await this.#startTls(line);
      else if (verb === 'AUTH') await this.#answer('auth', line);
      else if (verb === 'MAIL') {
        rcpts = [];
        mail = (await this.#answer('mail', line)).startsWith('2') ? line : '';
      } else if (verb === 'RCPT') {
        if (mail === '') this.#send('503 5.5.1 MAIL first');
        else if ((await this.#answer('rcpt', line)).startsWith('2')) rcpts.push(line);
      } else if (verb === 'DATA') {
        if (rcpts.length === 0) this.#send('554 5.5.1 no valid recipients');
        else if ((await this.#answer('data', line)).startsWith('3')) await this.#data(mail, rcpts);
      } else if (verb === 'RSET') {
        rcpts = [];
        await this.#answer('rset', line);
      } else if (verb === 'QUIT') {
        await this.#answer('quit', line);
        this.#socket.end();
        return;
      } else this.#send('500 5.5.2 what?');
    }
  }

  #ehlo(): string {
    const extensions = this.options.extensions ?? ['PIPELINING', '8BITMIME', 'SMTPUTF8', 'ENHANCEDSTATUSCODES'];
    const secure = this.#socket instanceof TLSSocket;
    const all = ['peer.test', ...extensions, ...(this.options.tls && !secure ? ['STARTTLS'] : [])];
    return all.map((name, at) => `250${at === all.length - 1 ? ' ' : '-'}${name}`).join('\r\n');
  }

  async #startTls(line: string): Promise<void> {
    if (!this.options.tls && !this.options.script) return this.#send('502 5.5.1 no TLS here');
    const answer = await this.#answer('starttls', line);
    if (!answer.startsWith('220') || !this.options.tls) return;
    this.#socket.removeAllListeners('data');
    this.#buffer = Buffer.alloc(0);
    this.#socket = new TLSSocket(this.#socket, {
      isServer: true,
      secureContext: createSecureContext(this.options.tls),
    });
    this.#listen();
  }

  async #data(mail: string, rcpts: readonly string[]): Promise<void> {
    const body = await this.#body();
    if (body === undefined) return;
    this.#message += 1;
    const secure = this.#socket instanceof TLSSocket;
    const taken: string[] = [];
    if (this.options.lmtp) {
      for (const rcpt of rcpts) if ((await this.#answer('dot', rcpt)).startsWith('2')) taken.push(rcpt);
    } else if ((await this.#answer('dot', '')).startsWith('2')) taken.push(...rcpts);
    if (taken.length > 0) {
      this.peer.messages.push({ mail, rcpts: taken, body, connection: this.connection, secure });
    }
  }

  /** @returns what was answered. */
  async #answer(phase: Phase, line: string, usual = USUAL[phase]): Promise<string> {
    const { address } = this;
    const state = { connection: this.connection, message: this.#message, address };
    const answer = (await this.options.script?.(phase, line, state)) ?? usual;
    if (answer === 'drop') this.#socket.destroy();
    else if (answer === 'hang') await new Promise((resolve) => this.#socket.once('close', resolve));
    else this.#send(answer);
    return answer;
  }

  #send(text: string): void {
    if (!this.#socket.destroyed) this.#socket.write(`${text}\r\n`);
  }

  async #until(find: () => number): Promise<number> {
    for (;;) {
      const at = find();
      if (at >= 0 || this.#socket.destroyed || this.#socket.readableEnded) return at;
      await new Promise<void>((resolve) => {
        this.#more = resolve;
      });
    }
  }

  async #line(): Promise<string | undefined> {
    const at = await this.#until(() => this.#buffer.indexOf('\r\n'));
    if (at < 0) return undefined;
    const line = this.#buffer.toString('utf8', 0, at);
    this.#buffer = this.#buffer.subarray(at + 2);
    return line;
  }

  async #body(): Promise<Buffer | undefined> {
    // The line end before an empty message's dot is that of DATA.
    await this.#until(() => (this.#buffer.length >= 3 ? 0 : -1));
    if (this.#buffer.subarray(0, 3).toString() === '.\r\n') {
      this.#buffer = this.#buffer.subarray(3);
      return Buffer.alloc(0);
    }
    let from = 0;
    const at = await this.#until(() => {
      const found = this.#buffer.indexOf('\r\n.\r\n', from);
      from = Math.max(0, this.#buffer.length - 5);
      return found;
    });
    if (at < 0) return undefined;
    const stuffed = this.#buffer.subarray(0, at + 2);
    this.#buffer = this.#buffer.subarray(at + 5);
    return unstuff(stuffed);
  }
}

/** Takes the dot off each line that begins with one (RFC 5321 §4.5.2). */
function unstuff(body: Buffer): Buffer {
  const parts: Buffer[] = [];
  let from = body[0] === 0x2e ? 1 : 0;
  for (let at = body.indexOf('\r\n.'); at >= 0; at = body.indexOf('\r\n.', at + 3)) {
    parts.push(body.subarray(from, at + 2));
    from = at + 3;
  }
  parts.push(body.subarray(from));
  return Buffer.concat(parts);
}
