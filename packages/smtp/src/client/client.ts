import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { TLSSocket } from 'node:tls';
import {
  type AttemptPhase,
  classifyFailure,
  classifyReply,
  formatOrcpt,
  type Notify,
  type Outcome,
  parseReply,
  type Reply,
} from '@waypost/mail';
import { ClientConnection } from './connection.js';
import { downgrade, needsUtf8 } from './downgrade.js';
import type { Hop } from './hop.js';
import { toOptions } from './options.js';
import { connectThrough, type ProxiedWay, ProxyError, type ProxyFault } from './proxy.js';

/** No session could be had with a host. */
export class HopError extends Error {
  constructor(
    readonly phase: AttemptPhase,
    readonly outcome: Outcome,
    cause: unknown,
    /** Set where it went wrong on the way through a proxy: `host` is what the proxy says of the host. */
    readonly fault?: ProxyFault,
    /** Our end of the connection, where there was one. */
    readonly localAddress?: string,
  ) {
    super(outcome.reply.text, { cause });
    this.name = 'HopError';
  }
}

export interface Transaction {
  /** '' is the null reverse-path. */
  readonly sender: string;
  readonly recipients: readonly string[];
  /** Octets of the message. */
  readonly size: number;
  readonly eightBit: boolean;
  readonly smtputf8: boolean;
  /** The header section is not ASCII alone; only asked of messages that came with SMTPUTF8. */
  readonly utf8Header?: boolean;
  readonly requireTls: boolean;
  readonly dsn?:
    | {
        readonly ret?: 'FULL' | 'HDRS' | undefined;
        readonly envid?: string | undefined;
        readonly notify?: readonly Notify[] | undefined;
        readonly orcpt?: string | undefined;
      }
    | undefined;
  readonly body: Buffer | Readable;
}

/** An SMTP or LMTP session to one host, for one transaction after another. */
export class SmtpClient {
  #busy: ((error: Error) => void) | undefined;
  #dead: Error | undefined;

  private constructor(
    readonly hop: Hop,
    private readonly connection: ClientConnection,
  ) {
    connection.on('error', (error) => this.#ended(error as Error));
    connection.on('end', () => this.#ended(new Error('Connection closed by the peer')));
  }

  /**
   * Connects, greets, upgrades to TLS as asked, and logs in.
   * @throws HopError
   */
  static async connect(hop: Hop): Promise<SmtpClient> {
    const socket = hop.via ? await through(hop, hop.via) : undefined;
    const connection = new ClientConnection(toOptions(hop, socket));
    const client = new SmtpClient(hop, connection);
    try {
      await new Promise<void>((resolve, reject) => {
        client.#busy = reject;
        connection.connect((error) => (error ? reject(error) : resolve()));
      });
      client.#authenticate();
      const { auth } = hop;
      if (auth) {
        await new Promise<void>((resolve, reject) => {
          client.#busy = reject;
          connection.login({ credentials: { user: auth.user, pass: auth.password } }, (error) =>
            error ? reject(error) : resolve(),
          );
        });
      }
      return client;
    } catch (error) {
      connection.close();
      throw toHopError(error as Error & Failure, hop, client.localAddress);
    } finally {
      client.#busy = undefined;
    }
  }

  #authenticate(): void {
    const { authenticate } = this.hop;
    const { _socket: socket } = this.connection.internals;
    if (!authenticate) return;
    const wrong = socket instanceof TLSSocket ? authenticate(socket) : new Error('there is no TLS');
    if (wrong) throw Object.assign(wrong, { code: 'ETLS' });
  }

  /** Whether another transaction can be tried. */
  get usable(): boolean {
    return !this.#dead && !this.connection.destroyed;
  }

  /** Our address, as far as the host can see it: a proxy shows its own. */
  get localAddress(): string | undefined {
    return this.hop.via ? undefined : this.connection.localAddress;
  }

  /** What Node holds against the certificate of a server that was not verified; undefined where nothing. */
  get certificateError(): string | undefined {
    const { _socket: socket } = this.connection.internals;
    if (!(socket instanceof TLSSocket) || socket.authorized) return undefined;
    return String(socket.authorizationError);
  }

  get secure(): boolean {
    return this.connection.secure;
  }

  /** Whether the peer offers an extension, such as `DSN`. */
  supports(extension: string): boolean {
    return this.connection.internals._supportedExtensions.includes(extension);
  }

  /** `name [address]` for records. */
  get remote(): string {
    return this.hop.unix ? this.hop.host : `${this.hop.host} [${this.hop.address}]`;
  }

  /**
   * Sends one message to recipients that share their DSN parameters. Never throws for what the peer does.
   * @returns one outcome a recipient, in order.
   */
  async transaction(transaction: Transaction): Promise<Outcome[]> {
    const refused = this.#unfit(transaction);
    if (refused) return transaction.recipients.map(() => toRefusal(refused));
    const facts = { ...transaction, utf8Header: transaction.utf8Header === true };
    if (!needsUtf8(facts)) return this.#send(transaction, false);
    if (this.supports('SMTPUTF8')) return this.#send(transaction, true);
    const { sender, recipients, refusal } = downgrade(facts);
    const outcomes = transaction.recipients.map(() => toRefusal(refusal));
    if (recipients.length === 0) return outcomes;
    const sent = await this.#send(
      { ...transaction, sender, recipients: recipients.map(({ address }) => address) },
      false,
    );
    for (const [index, { at }] of recipients.entries()) outcomes[at] = sent[index] as Outcome;
    return outcomes;
  }

  async #send(transaction: Transaction, utf8: boolean): Promise<Outcome[]> {
    const { connection } = this;
    connection.begin(utf8);
    const guard = this.#guard();
    try {
      const info = await new Promise<{ response: string }>((resolve, reject) => {
        this.#busy = reject;
        connection.send(this.#envelope(transaction, utf8), transaction.body, (error, sent) =>
          error ? reject(error) : resolve(sent),
        );
      });
      return this.#outcomes(transaction, classifyReply('dot', parseReply(info.response)));
    } catch (error) {
      const outcome = this.#failure(error as Error & Failure);
      // Pipelined recipients are then refused too, for want of a sender; the reason is the reply to MAIL.
      if ((error as Failure).command === 'MAIL FROM') return transaction.recipients.map(() => outcome);
      return this.#outcomes(transaction, outcome);
    } finally {
      clearInterval(guard);
      this.#busy = undefined;
    }
  }

  /** Puts the session back to the state after EHLO; ends it where that fails. */
  async reset(): Promise<void> {
    if (!this.usable) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => this.#ended(new Error('no reply to RSET')), this.hop.timeouts.command);
      this.#busy = () => resolve();
      this.connection.reset((error) => {
        if (error) this.#ended(error);
        clearTimeout(timer);
        resolve();
      });
    });
    this.#busy = undefined;
  }

  /** Says QUIT and lets go. */
  close(): void {
    if (this.usable) this.connection.quit();
    else this.connection.close();
    this.#dead ??= new Error('closed');
  }

  #ended(error: Error): void {
    this.#dead ??= error;
    this.#busy?.(error);
    this.connection.close();
  }

  /** Ends a transaction whose phase takes too long; nodemailer itself bounds only silence. */
  #guard(): NodeJS.Timeout {
    const { command, data, final_dot } = this.hop.timeouts;
    const started = Date.now();
    let dotAt = 0;
    const timer = setInterval(
      () => {
        const now = Date.now();
        if (this.connection.dotSent) dotAt ||= now;
        const late = dotAt > 0 ? now - dotAt > final_dot : now - started > command + data;
        if (late)
          this.#ended(new Error(dotAt > 0 ? 'no reply to the final dot in time' : 'the transaction took too long'));
      },
      Math.max(5, Math.min(1000, command / 4)),
    );
    return timer.unref();
  }

  /** @returns why the peer cannot take this message, before anything is sent. */
  #unfit(transaction: Transaction): Reply | undefined {
    const max = this.connection.internals._maxAllowedSize;
    if (max && transaction.size > max) {
      return {
        code: 552,
        enhanced: '5.3.4',
        text: `Message of ${transaction.size} octets is larger than the ${max} the next hop takes`,
      };
    }
    if (transaction.requireTls && !(this.secure && this.supports('REQUIRETLS'))) {
      return { code: 550, enhanced: '5.7.30', text: 'REQUIRETLS is asked for, but the next hop does not support it' };
    }
    return undefined;
  }

  #envelope(transaction: Transaction, utf8: boolean) {
    const { dsn } = transaction;
    const speaksDsn = dsn && this.supports('DSN');
    return {
      from: transaction.sender,
      to: [...transaction.recipients],
      size: transaction.size,
      use8BitMime: transaction.eightBit,
      requireTLSExtensionEnabled: transaction.requireTls,
      ...(speaksDsn
        ? {
            dsn: {
              ...(dsn.ret ? { ret: dsn.ret } : {}),
              ...(dsn.envid ? { envid: dsn.envid } : {}),
              ...(dsn.notify ? { notify: [...dsn.notify] } : {}),
              ...(dsn.orcpt ? { orcpt: orcptOf(dsn.orcpt, utf8) } : {}),
            },
          }
        : {}),
    };
  }

  /** Recipients that got a reply of their own have their own outcome; `rest` is for all others. */
  #outcomes(transaction: Transaction, rest: Outcome): Outcome[] {
    const own = new Map<string, Outcome>();
    for (const { recipient, response } of this.connection.internals._envelope?.rejectedErrors ?? []) {
      if (recipient && response) own.set(recipient, classifyReply('rcpt', parseReply(response)));
    }
    for (const [recipient, text] of this.connection.answered)
      own.set(recipient, classifyReply('dot', parseReply(text)));
    return transaction.recipients.map((recipient) => own.get(recipient) ?? rest);
  }

  #failure(error: Error & Failure): Outcome {
    const phase = PHASES[error.command ?? ''] ?? (this.connection.dotSent ? 'dot' : 'data');
    if (!error.response) {
      this.#ended(error);
      return classifyFailure(this.connection.dotSent ? 'dot' : phase, error, this.remote);
    }
    const reply = parseReply(error.response);
    if (reply.code === 421) this.#ended(error);
    return classifyReply(phase, reply);
  }
}

interface Failure {
  readonly code?: string;
  readonly originalCode?: string;
  readonly response?: string;
  readonly command?: string;
}

const PHASES: Record<string, AttemptPhase> = { 'MAIL FROM': 'mail', 'RCPT TO': 'rcpt' };

/** nodemailer writes xtext itself; the escapes of the utf-8 address type (RFC 6533 §3) are ours, and xtext leaves them. */
const orcptOf = (orcpt: string, smtputf8: boolean) => (/^utf-8;/i.test(orcpt) ? formatOrcpt(orcpt, smtputf8) : orcpt);

/** Refused by us, for what the peer does not offer. */
const toRefusal = (reply: Reply): Outcome => ({ ...classifyReply('mail', reply), remote: false });

/** @throws HopError */
async function through({ host, address, port, timeouts }: Hop, way: ProxiedWay): Promise<Socket> {
  try {
    return await connectThrough(way, { address, port }, timeouts.connect);
  } catch (error) {
    throw viaProxy(error as ProxyError, `${host} [${address}]`);
  }
}

/** Whatever a proxy does, mail is tried again. */
function viaProxy(error: ProxyError, peer: string): HopError {
  const outcome = classifyFailure('connect', error, peer);
  const reply = { ...outcome.reply, text: `${peer}: ${error.message}` };
  return new HopError('connect', { ...outcome, reply }, error, error.fault);
}

function toHopError(error: Error & Failure, hop: Hop, localAddress: string | undefined): HopError {
  const phase = phaseOf(error);
  const peer = hop.unix ? hop.host : `${hop.host} [${hop.address}]`;
  if (hop.via?.proxy.kind === 'haproxy' && !error.response && (phase === 'connect' || phase === 'greeting')) {
    // It connects, or fails to, without a word.
    const { name } = hop.via.proxy;
    return viaProxy(new ProxyError(name, 'way', `gave no connection that greets us: ${error.message}`), peer);
  }
  const outcome = error.response
    ? classifyReply(phase, parseReply(error.response))
    : classifyFailure(phase, error, peer);
  return new HopError(phase, outcome, error, undefined, localAddress);
}

function phaseOf(error: Error & Failure): AttemptPhase {
  if (error.code === 'EAUTH') return 'auth';
  if (error.code === 'ETLS' || error.command === 'STARTTLS' || /TLS|SSL|certificate/i.test(error.message))
    return 'starttls';
  if (error.command === 'EHLO' || error.command === 'HELO' || error.command === 'LHLO') return 'ehlo';
  return error.response || /greeting/i.test(error.message) ? 'greeting' : 'connect';
}
