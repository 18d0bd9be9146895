import type { Socket } from 'node:net';
import type { Networks } from '@waypost/config';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { addressKey } from './address-key.js';
import { type ConnectionHost, type ProtocolOffence, type SessionLimits, WaypostConnection } from './connection.js';
import { readProxyHeader } from './proxy-protocol.js';
import { type Refusal, Tarpit } from './tarpit.js';

export interface WaypostSmtpOptions {
  readonly smtp: SMTPServerOptions;
  readonly limits: SessionLimits;
  /** Networks whose connections begin with a PROXY header. */
  readonly proxies: Networks;
  /** Networks that may use XCLIENT. */
  readonly xclient: Networks;
  /** Asked before there is a session, or TLS: why an address is not let in, undefined where it is. */
  readonly gate?: (address: string) => Refusal | undefined;
  /** Where those who are not let in wait for their refusal. */
  readonly tarpit?: Tarpit;
  readonly onOffence?: (offence: ProtocolOffence, address: string) => void;
}

const PROXY_TIMEOUT = 5000;
/** For a PROXY header and the TLS handshake of an implicit TLS listener, ms without a sign of life. */
const PENDING_TIMEOUT = 30_000;
let serial = 0;

/** The address is not let in; nobody need be told. */
class RefusedError extends Error {}

/** smtp-server with our connections, and PROXY protocol version 2 and networks beside what it has. */
export class WaypostSmtpServer extends SMTPServer implements ConnectionHost {
  readonly limits: SessionLimits;
  readonly xclient: Networks;
  readonly onOffence: (offence: ProtocolOffence, address: string) => void;
  readonly #proxies: Networks;
  readonly #gate: WaypostSmtpOptions['gate'];
  readonly #tarpit: Tarpit;
  /** Sockets that are not yet a session, by address. */
  readonly #pending = new Map<string, number>();

  constructor(options: WaypostSmtpOptions) {
    super({
      ...options.smtp,
      disableReverseLookup: true,
      hideENHANCEDSTATUSCODES: false,
      hideDSN: false,
      hideREQUIRETLS: false,
      rejectOversized: true,
      useXClient: options.xclient.size > 0,
      maxClients: options.limits.connections,
      logger: false,
    });
    this.limits = options.limits;
    this.xclient = options.xclient;
    this.onOffence = options.onOffence ?? (() => undefined);
    this.#proxies = options.proxies;
    this.#gate = options.gate;
    this.#tarpit = options.tarpit ?? new Tarpit(() => ({ delay: 0, sockets: 0 }));
  }

  override connect(socket: Socket, socketOptions?: ConstructorParameters<typeof WaypostConnection>[2]): void {
    const connection = new WaypostConnection(this, socket, socketOptions ?? null);
    this.connections.add(connection);
    connection.on('error', (error) => this._onError(error));
    connection.on('connect', (data) => this._onClientConnect(data));
    connection.init();
  }

  /** Limits by address hold before there is a session, too, but for proxies, behind which everybody is. */
  override _acceptSocket(socket: Socket, handshake: boolean): (() => void) | false {
    const proxied = this._expectsProxyHeader(socket);
    if (!handshake && !proxied) return super._acceptSocket(socket, handshake);
    const key = addressKey(socket.remoteAddress ?? '');
    const count = this.#pending.get(key) ?? 0;
    const full = !proxied && count >= this.limits.connectionsPerAddress;
    const release = !full && super._acceptSocket(socket, handshake);
    if (!release) {
      socket.on('error', () => undefined);
      socket.destroy();
      return false;
    }
    socket.setTimeout(PENDING_TIMEOUT);
    this.#pending.set(key, count + 1);
    let held = true;
    const done = () => {
      if (!held) return;
      held = false;
      const left = (this.#pending.get(key) ?? 1) - 1;
      if (left > 0) this.#pending.set(key, left);
      else this.#pending.delete(key);
    };
    socket.once('close', done);
    return () => {
      release();
      socket.off('close', done);
      done();
    };
  }

  override _expectsProxyHeader(socket: Socket): boolean {
    // Called by upstream's constructor too, before ours has run.
    return this.#hasProxies() && this.#proxies.has(socket.remoteAddress);
  }

  override _handleProxy(socket: Socket, callback: (error: Error | null, options?: { id: string }) => void): void {
    serial = (serial + 1) % Number.MAX_SAFE_INTEGER;
    const id = serial.toString(36);
    const enter = (addresses?: { readonly remoteAddress: string }) => {
      const refusal = this.#gate?.(addresses?.remoteAddress ?? socket.remoteAddress ?? '');
      if (!refusal) return callback(null, { id, ...addresses });
      this.#turnAway(socket, refusal);
      callback(new RefusedError());
    };
    if (!this._expectsProxyHeader(socket)) return enter();
    readProxyHeader(socket, PROXY_TIMEOUT).then(enter, (error: Error) => {
      socket.on('error', () => undefined);
      socket.destroy();
      callback(error);
    });
  }

  /** Nothing can be said before the TLS handshake of a listener with implicit TLS, and a handshake is dear. */
  #turnAway(socket: Socket, refusal: Refusal): void {
    const implicit = this.options.secure === true;
    this.#tarpit.hold(socket, implicit ? { ...refusal, reply: undefined } : refusal);
  }

  #hasProxies(): boolean {
    return #proxies in this && this.#proxies !== undefined;
  }
}
