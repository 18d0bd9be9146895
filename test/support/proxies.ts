import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { type ProxiedAddresses, readProxyHeader } from '@waypost/smtp';

/** A proxy of a test's own, which really connects. */
interface TestProxy {
  readonly port: number;
  stop(): Promise<void>;
}

export interface SocksRequest {
  readonly address: string;
  readonly port: number;
  /** Where the client came from. */
  readonly from: string;
}

export interface SocksProxy extends TestProxy {
  readonly requests: SocksRequest[];
  /** Names and passwords that clients gave. */
  readonly logins: string[];
}

export interface SocksOptions {
  readonly port?: number;
  /** Clients must give this `user:password` (RFC 1929). */
  readonly login?: string;
  /** @returns a reply code (RFC 1928 §6) to refuse with, 0 to connect. */
  readonly reply?: (request: SocksRequest) => number;
  /** Sends its answer in one piece with the first octets of the target. */
  readonly together?: boolean;
}

/** A SOCKS5 server for CONNECT (RFC 1928). */
export async function startSocks(options: SocksOptions = {}): Promise<SocksProxy> {
  const requests: SocksRequest[] = [];
  const logins: string[] = [];
  const proxy = await startProxy(
    (socket, open) => serveSocks(socket, open, options, { requests, logins }),
    options.port,
  );
  return { ...proxy, requests, logins };
}

export interface HeaderProxy extends TestProxy {
  readonly headers: NonNullable<ProxiedAddresses>[];
}

/** A proxy that is told by a PROXY header what to connect to, and where from. */
export async function startHeaderProxy(port = 0): Promise<HeaderProxy> {
  const headers: NonNullable<ProxiedAddresses>[] = [];
  const proxy = await startProxy(async (socket, open) => {
    const addresses = await readProxyHeader(socket, 5000);
    if (!addresses) throw new Error('a PROXY header without addresses');
    headers.push(addresses);
    const { remoteAddress, localAddress, localPort } = addresses;
    const target = await open({ host: localAddress, port: localPort, localAddress: remoteAddress });
    join(socket, target);
  }, port);
  return { ...proxy, headers };
}

type Open = (to: { host: string; port: number; localAddress?: string }) => Promise<Socket>;

async function startProxy(serve: (socket: Socket, open: Open) => Promise<void>, port = 0): Promise<TestProxy> {
  const sockets = new Set<Socket>();
  const track = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy()).on('close', () => sockets.delete(socket));
    return socket;
  };
  const open: Open = async (to) => {
    const socket = track(connect(to));
    await once(socket, 'connect');
    return socket;
  };
  const server: Server = createServer((socket) => {
    serve(track(socket), open).catch(() => socket.destroy());
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    stop: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

function join(a: Socket, b: Socket): void {
  a.pipe(b).on('close', () => a.destroy());
  b.pipe(a).on('close', () => b.destroy());
}

const VERSION = 5;
const NO_LOGIN = 0;
const USER_PASSWORD = 2;
const NONE_FITS = 0xff;
const LENGTHS: Readonly<Record<number, number>> = { 1: 4, 4: 16 };

async function serveSocks(
  socket: Socket,
  open: Open,
  { login, reply, together = false }: SocksOptions,
  seen: Pick<SocksProxy, 'requests' | 'logins'>,
): Promise<void> {
  const read = reader(socket);
  const [, count = 0] = await read(2);
  const method = login === undefined ? NO_LOGIN : USER_PASSWORD;
  const offered = (await read(count)).includes(method);
  socket.write(Buffer.from([VERSION, offered ? method : NONE_FITS]));
  if (!offered) return void socket.end();
  if (login !== undefined) {
    const user = await read((await read(2))[1] ?? 0);
    const password = await read((await read(1))[0] ?? 0);
    const given = `${user}:${password}`;
    seen.logins.push(given);
    socket.write(Buffer.from([1, given === login ? 0 : 1]));
    if (given !== login) return void socket.end();
  }
  const [, command, , kind = 0] = await read(4);
  const octets = await read(LENGTHS[kind] ?? (await read(1))[0] ?? 0);
  const address = kind === 1 ? octets.join('.') : octets.toString(kind === 4 ? 'hex' : 'latin1');
  const request = { address, port: (await read(2)).readUInt16BE(), from: socket.remoteAddress ?? '' };
  seen.requests.push(request);
  const answer = (code: number) => Buffer.from([VERSION, code, 0, 1, 0, 0, 0, 0, 0, 0]);
  const code = command === 1 ? (reply?.(request) ?? 0) : 7;
  if (code !== 0) return void socket.end(answer(code));
  const target = await open({ host: request.address, port: request.port });
  const first = together ? (((await once(target, 'data')) as [Buffer])[0] as Buffer) : Buffer.alloc(0);
  socket.write(Buffer.concat([answer(0), first]));
  join(socket, target);
}

/** @returns what reads so many octets off a socket. */
function reader(socket: Socket): (octets: number) => Promise<Buffer> {
  return async (octets) => {
    if (octets === 0) return Buffer.alloc(0);
    for (;;) {
      const found = socket.read(octets) as Buffer | null;
      if (found?.length === octets) return found;
      if (socket.readableEnded || socket.destroyed) throw new Error('the client left');
      await once(socket, 'readable');
    }
  };
}
