import { connect, isIP, type Socket } from 'node:net';
import type { EgressProxy } from '@waypost/config';
import { SocksClient } from 'socks';
import { type Endpoint, formatProxyHeader } from './proxy-header.js';

/** The way to a host through a proxy. */
export interface ProxiedWay {
  readonly proxy: EgressProxy;
  /** Address the proxy is to connect from; only a `haproxy` one can be told. */
  readonly source?: string | undefined;
  /** Address to connect to the proxy from. */
  readonly localAddress?: string | undefined;
}

/** Whose the trouble is: the proxy's own, its with this one host, or the host's as the proxy tells. */
export type ProxyFault = 'proxy' | 'way' | 'host';

/** No connection could be had through a proxy. Neither text nor properties hold its login. */
export class ProxyError extends Error {
  constructor(
    readonly proxy: string,
    readonly fault: ProxyFault,
    readonly reason: string,
  ) {
    super(`the proxy ${proxy} ${reason}`);
    this.name = 'ProxyError';
  }
}

/**
 * Connects to a host through a proxy.
 * @param timeout ms for all of it.
 * @returns a socket at whose other end the host is (`socks5`) or will be (`haproxy`); nothing was read off it.
 * @throws ProxyError
 */
export async function connectThrough(way: ProxiedWay, target: Endpoint, timeout: number): Promise<Socket> {
  const { proxy } = way;
  const until = performance.now() + timeout;
  // Before anything is sent: a header that cannot be written needs no connection.
  const header = proxy.kind === 'haproxy' ? headerFor(way, target) : undefined;
  const socket = await reach(way, timeout);
  if (header) socket.write(header);
  else await negotiate(socket, proxy, target, Math.max(1, until - performance.now()));
  return socket;
}

function headerFor({ proxy, source = '' }: ProxiedWay, target: Endpoint): Buffer {
  if (isIP(source) !== isIP(target.address)) {
    throw new ProxyError(proxy.name, 'way', `has no address of the family of ${target.address}, only ${source}`);
  }
  return formatProxyHeader({ address: source, port: 0 }, target);
}

function reach({ proxy, localAddress }: ProxiedWay, timeout: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const { host, port } = proxy;
    const socket = connect({ host, port, noDelay: true, ...(localAddress ? { localAddress } : {}) });
    const fail = (reason: string) => {
      clearTimeout(timer);
      socket.destroy();
      reject(new ProxyError(proxy.name, 'proxy', `cannot be reached: ${reason}`));
    };
    const timer = setTimeout(() => fail(`no answer within ${timeout} ms`), timeout);
    // It stays: who takes the socket over listens a moment later.
    socket.on('error', (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
    socket.once('connect', () => {
      clearTimeout(timer);
      resolve(socket);
    });
  });
}

function negotiate(socket: Socket, proxy: EgressProxy, target: Endpoint, timeout: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const { host, port, login } = proxy;
    const client = new SocksClient({
      command: 'connect',
      proxy: { type: 5, host, port, ...(login ? { userId: login.user, password: login.password } : {}) },
      destination: { host: target.address, port: target.port },
      timeout,
    });
    client.once('error', ({ message }: Error) => {
      socket.destroy();
      reject(toProxyError(proxy, target, message));
    });
    client.once('established', () => {
      // A mail server speaks first, and what came along with the proxy's answer is given out at the end of this turn.
      const early: Buffer[] = [];
      const keep = (chunk: Buffer) => early.push(chunk);
      socket.on('data', keep);
      setImmediate(() => {
        socket.off('data', keep).pause();
        if (early.length > 0) socket.unshift(Buffer.concat(early));
        resolve();
      });
    });
    client.connect(socket);
  });
}

/** What a SOCKS server answers to CONNECT (RFC 1928 §6), as the library names it. */
const ANSWERS: Readonly<Record<string, readonly [ProxyFault, string]>> = {
  Failure: ['way', 'general failure'],
  NotAllowed: ['way', 'not allowed by its rules'],
  NetworkUnreachable: ['way', 'network unreachable'],
  HostUnreachable: ['host', 'host unreachable'],
  ConnectionRefused: ['host', 'connection refused'],
  TTLExpired: ['way', 'TTL expired'],
  CommandNotSupported: ['proxy', 'it does not support CONNECT'],
  AddressNotSupported: ['way', 'it does not support this kind of address'],
};

function toProxyError({ name }: EgressProxy, { address, port }: Endpoint, message: string): ProxyError {
  const answer = ANSWERS[/ - (\w+)$/.exec(message)?.[1] ?? ''];
  if (answer) return new ProxyError(name, answer[0], `did not connect us to ${address} port ${port}: ${answer[1]}`);
  // It may be waiting for the host itself.
  if (/timed out/i.test(message))
    return new ProxyError(name, 'way', `did not connect us to ${address} port ${port} in time`);
  return new ProxyError(name, 'proxy', `broke off: ${message}`);
}
