import type { Socket } from 'node:net';
import type { Networks } from '@waypost/config';
import { SMTPConnection } from 'smtp-server/lib/smtp-connection.js';
import type { SMTPStream } from 'smtp-server/lib/smtp-stream.js';
import { InputStream } from './input-stream.js';

/** What one session may do. Times in ms. */
export interface SessionLimits {
  readonly connections: number;
  /** From one address, before TLS and the PROXY header are through. */
  readonly connectionsPerAddress: number;
  readonly commands: number;
  readonly errors: number;
  readonly transactions: number;
  /** From MAIL to the reply to the final dot. */
  readonly transactionTime: number;
  /** Wait before the banner to catch early talkers; 0 is none. */
  readonly bannerDelay: number;
  /** Command lines must end in CRLF. */
  readonly strictCommands: boolean;
  /** Takes addresses without angle brackets, as old machines send them. */
  readonly bareAddresses: boolean;
}

/** What a client may do wrong that the protocol shows. */
export type ProtocolOffence = 'unknown_command' | 'early_talker' | 'errors' | 'smuggling' | 'http';

/** What a connection asks of its server. */
export interface ConnectionHost {
  readonly limits: SessionLimits;
  /** Networks that may use XCLIENT. */
  readonly xclient: Networks;
  /** Told of what a client does wrong. */
  readonly onOffence: (offence: ProtocolOffence, address: string) => void;
}

const MAIL_PARAMS = new Set(['SIZE', 'BODY', 'SMTPUTF8', 'REQUIRETLS', 'RET', 'ENVID', 'AUTH']);
const RCPT_PARAMS = new Set(['NOTIFY', 'ORCPT']);
const ASCII = /^[\x00-\x7f]*$/;
const ENHANCED = /^[245]\.\d{1,3}\.\d{1,3}(?: |$)/;

type Parsed = Exclude<ReturnType<SMTPConnection['_parseAddressCommand']>, false>;

/** smtp-server's connection, with what a relay needs beyond it. */
export class WaypostConnection extends SMTPConnection {
  #commands = 0;
  #errors = 0;
  #greeting = false;
  #transactionTimer: NodeJS.Timeout | undefined;

  private get host(): ConnectionHost {
    return this._server as unknown as ConnectionHost;
  }

  private get limits(): SessionLimits {
    return this.host.limits;
  }

  /** Upstream always waits 100 ms for early talkers; here the wait is a setting, and none is none. */
  override init(): void {
    this._setListeners(() => {
      const { connections } = this.limits;
      if (this._server.connections.size > connections) {
        return this.send(421, '4.3.2 Too many connections, try again later', false);
      }
      if (this.limits.bannerDelay > 0) setTimeout(() => this.connectionReady(), this.limits.bannerDelay).unref();
      else this.connectionReady();
    });
  }

  /** A text that brings its own enhanced status keeps it alone; too many errors end the session. */
  override send(code: number, data?: string | string[] | null, context?: string | false): void {
    const own = typeof data === 'string' && ENHANCED.test(data);
    if (code === 500) this.#offended('unknown_command');
    if (code >= 500 && code !== 530 && ++this.#errors > this.limits.errors) {
      this.#offended('errors');
      return super.send(421, '4.7.0 Too many errors, closing connection', false);
    }
    super.send(code, data, own ? false : context);
  }

  override _createParser(): SMTPStream {
    const parser = new InputStream({ maxCommandLength: this._server.options.maxCommandLength ?? 0 });
    parser.oncommand = (command: Buffer, callback: () => void) => this._onCommand(command, callback);
    parser.on('error', (error) => this.send(421, `4.5.2 ${error.message}`, false));
    parser.onBareLf = () => {
      if (this._upgrading || !this.limits.strictCommands) return;
      this.#offended('smuggling');
      this.send(521, '5.5.2 Lines must end in CRLF, closing connection', false);
      this.close();
    };
    return parser;
  }

  override _onCommand(command: Buffer, callback?: () => void): void {
    if (++this.#commands > this.limits.commands) {
      return this.send(421, '4.7.0 Too many commands, closing connection', false);
    }
    if (!this._ready && !this._upgrading) this.#offended('early_talker');
    if (HTTP.test(command.toString('latin1', 0, 16))) {
      this.#offended('http');
      this.send(554, '5.7.0 This is a mail server, closing connection', false);
      return this.close();
    }
    super._onCommand(this.limits.bareAddresses ? withBrackets(command) : command, callback);
  }

  /** XCLIENT by network; upstream compares single addresses. */
  override _proxyCommandAllowed(command: string, option: 'useXClient' | 'useXForward'): boolean {
    if (option !== 'useXClient' || this._xClient.has('ADDR')) return false;
    return this.host.xclient.has(this._originalRemoteAddress) && this._isSupported(command);
  }

  /** Upstream takes parameters it does not know (RFC 5321 §4.1.1.11 wants 555). */
  override _validateMailParams(parsed: Parsed): ReturnType<SMTPConnection['_validateMailParams']> {
    const unknown = unknownParam(parsed, MAIL_PARAMS);
    if (unknown) return { code: 555, message: `5.5.4 MAIL parameter ${unknown} is not known`, enhancedCode: null };
    if (this._transactionCounter >= this.limits.transactions) {
      return { code: 421, message: '4.7.0 Too many messages in one session, connect again', enhancedCode: null };
    }
    return super._validateMailParams(parsed);
  }

  /** Upstream offers AUTH in the clear and then refuses it, which tempts clients to send their secret. */
  override handler_EHLO(command: Buffer, callback: () => void): void {
    this.#greeting = true;
    super.handler_EHLO(command, callback);
    this.#greeting = false;
  }

  override _isSupported(command: string): boolean {
    const hidden = this.#greeting && command === 'AUTH' && !this.secure && !this._server.options.allowInsecureAuth;
    return !hidden && super._isSupported(command);
  }

  /** Upstream turns A-labels into Unicode, which the envelope may not have without SMTPUTF8: a domain stays as given. */
  override _parseAddressCommand(
    name: string,
    command: string | Buffer,
  ): ReturnType<SMTPConnection['_parseAddressCommand']> {
    const parsed = super._parseAddressCommand(name, command);
    if (!parsed || ASCII.test(parsed.address)) return parsed;
    const given = /@([\x21-\x7e]+)>/.exec(command.toString())?.[1];
    const at = parsed.address.lastIndexOf('@');
    return given ? { ...parsed, address: `${parsed.address.slice(0, at)}@${given}` } : parsed;
  }

  override handler_MAIL(command: Buffer, callback: () => void): void {
    // A MAIL within a transaction is refused, and gives it no more time.
    if (this.session.envelope?.mailFrom) return super.handler_MAIL(command, callback);
    clearTimeout(this.#transactionTimer);
    this.#transactionTimer = setTimeout(() => {
      this.send(421, '4.4.2 The transaction took too long, closing connection', false);
      this._socket.destroySoon();
    }, this.limits.transactionTime);
    this.#transactionTimer.unref();
    super.handler_MAIL(command, () => {
      // The parameters of a refused MAIL must not stay for the next one.
      if (!this.session.envelope.mailFrom) this._resetSession();
      callback();
    });
  }

  override handler_RCPT(command: Buffer, callback: () => void): void {
    const bare = command.lastIndexOf('>') >= command.length - 1;
    const parsed = !bare && this._parseAddressCommand('rcpt to', command);
    const unknown = parsed && unknownParam(parsed, RCPT_PARAMS);
    if (unknown) {
      this.send(555, `5.5.4 RCPT parameter ${unknown} is not known`);
      return callback();
    }
    super.handler_RCPT(command, callback);
  }

  override _resetSession(): void {
    clearTimeout(this.#transactionTimer);
    super._resetSession();
  }

  override _onClose(): void {
    clearTimeout(this.#transactionTimer);
    super._onClose();
  }

  #offended(offence: ProtocolOffence): void {
    this.host.onOffence(offence, this.remoteAddress);
  }

  /** The socket, for limits by address and for TLS details. */
  get socket(): Socket {
    return this._socket;
  }
}

/** A browser or a proxy was made to talk to us; what it says may hold commands of an attacker. */
const HTTP = /^(?:GET|POST|PUT|HEAD|CONNECT|OPTIONS) /i;
const BARE = /^(MAIL FROM|RCPT TO):[ \t]*([^\s<>]+)((?:[ \t].*)?)$/is;

function withBrackets(command: Buffer): Buffer {
  if (command.length > 1024 || command.includes(0x3c)) return command;
  const found = BARE.exec(command.toString('utf8'));
  return found ? Buffer.from(`${found[1]}:<${found[2]}>${found[3]}`) : command;
}

function unknownParam(parsed: Parsed, known: ReadonlySet<string>): string | undefined {
  return Object.keys(parsed.args || {}).find((name) => !known.has(name));
}
