import { isIP, type Socket, SocketAddress } from 'node:net';

/** The addresses a proxy vouches for; undefined where it speaks for itself (LOCAL, UNKNOWN). */
export type ProxiedAddresses =
  | {
      readonly remoteAddress: string;
      readonly remotePort: number;
      readonly localAddress: string;
      readonly localPort: number;
    }
  | undefined;

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
/** Longest version 1 line with its CRLF (proxy-protocol.txt §2.1). */
const V1_MAX = 107;
/** Addresses and type-length-values of version 2; ours need few. */
const V2_MAX = 4096;

/** What was read so far is no PROXY header. */
export class ProxyHeaderError extends Error {}

/**
 * Reads a PROXY protocol header, version 1 or 2 (HAProxy's proxy-protocol.txt §2).
 * @returns undefined while more octets are needed, else the addresses and how long the header was.
 * @throws ProxyHeaderError
 */
export function parseProxyHeader(data: Buffer): { addresses: ProxiedAddresses; length: number } | undefined {
  const compared = Math.min(data.length, SIGNATURE.length);
  if (data.subarray(0, compared).equals(SIGNATURE.subarray(0, compared))) return parseV2(data);
  if (!'PROXY '.startsWith(data.toString('latin1', 0, Math.min(6, data.length))))
    throw new ProxyHeaderError('no PROXY header');
  const end = data.indexOf('\r\n');
  if (end >= 0 && end + 2 <= V1_MAX) return parseV1(data.toString('latin1', 0, end), end + 2);
  if (data.length >= V1_MAX || end >= 0) throw new ProxyHeaderError('the PROXY line is too long');
  return undefined;
}

function parseV1(line: string, length: number) {
  const [, family, remoteAddress = '', localAddress = '', remotePort, localPort, ...rest] = line.split(' ');
  if (family === 'UNKNOWN') return { addresses: undefined, length };
  const version = family === 'TCP4' ? 4 : family === 'TCP6' ? 6 : 0;
  const ports = [Number(remotePort), Number(localPort)] as const;
  const sound = ports.every((port) => Number.isInteger(port) && port >= 0 && port <= 65535) && rest.length === 0;
  if (version === 0 || isIP(remoteAddress) !== version || isIP(localAddress) !== version || !sound) {
    throw new ProxyHeaderError('the PROXY line is malformed');
  }
  return {
    addresses: {
      remoteAddress: plain(remoteAddress),
      localAddress: plain(localAddress),
      remotePort: ports[0],
      localPort: ports[1],
    },
    length,
  };
}

function parseV2(data: Buffer) {
  if (data.length < 16) return undefined;
  const command = data.readUInt8(12);
  const family = data.readUInt8(13);
  const size = data.readUInt16BE(14);
  if (command >> 4 !== 2 || (command & 0x0f) > 1) throw new ProxyHeaderError('the PROXY version or command is unknown');
  if (size > V2_MAX) throw new ProxyHeaderError('the PROXY header is too long');
  const length = 16 + size;
  if (data.length < length) return undefined;
  // LOCAL: the proxy itself, as in a health check. Other families than TCP say nothing we could use.
  if ((command & 0x0f) === 0 || (family !== 0x11 && family !== 0x21)) return { addresses: undefined, length };
  const octets = family === 0x11 ? 4 : 16;
  if (size < 2 * octets + 4) throw new ProxyHeaderError('the PROXY addresses are cut short');
  const address = (at: number) => toAddress(data.subarray(at, at + octets));
  return {
    addresses: {
      remoteAddress: address(16),
      localAddress: address(16 + octets),
      remotePort: data.readUInt16BE(16 + 2 * octets),
      localPort: data.readUInt16BE(18 + 2 * octets),
    },
    length,
  };
}

function toAddress(octets: Buffer): string {
  if (octets.length === 4) return octets.join('.');
  return plain(Array.from({ length: 8 }, (_, at) => octets.readUInt16BE(at * 2).toString(16)).join(':'));
}

/** Proxies that listen on both families say an IPv4 address within IPv6: limits, bans and SPF are to see the address itself. */
function plain(address: string): string {
  if (!address.includes(':')) return address;
  return new SocketAddress({ address, family: 'ipv6' }).address.replace(/^::ffff:(?=\d+\.)/i, '');
}

/**
 * Reads the header off a fresh socket and puts what follows it back.
 * @param timeout ms the proxy may take.
 * @throws ProxyHeaderError, or the socket's error; the socket is to be destroyed then.
 */
export function readProxyHeader(socket: Socket, timeout: number): Promise<ProxiedAddresses> {
  return new Promise((resolve, reject) => {
    let data: Buffer = Buffer.alloc(0);
    const done = (error: Error | undefined, addresses?: ProxiedAddresses) => {
      clearTimeout(timer);
      socket.off('readable', read).off('error', done).off('close', closed);
      if (error) reject(error);
      else resolve(addresses);
    };
    const closed = () => done(new ProxyHeaderError('the connection closed before the PROXY header'));
    const timer = setTimeout(() => done(new ProxyHeaderError('the PROXY header did not come in time')), timeout);
    const read = () => {
      for (let chunk = socket.read() as Buffer | null; chunk; chunk = socket.read() as Buffer | null) {
        data = Buffer.concat([data, chunk]);
        try {
          const header = parseProxyHeader(data);
          if (!header) continue;
          const rest = data.subarray(header.length);
          if (rest.length > 0) socket.unshift(rest);
          return done(undefined, header.addresses);
        } catch (error) {
          return done(error as Error);
        }
      }
    };
    socket.on('readable', read).on('error', done).on('close', closed);
    read();
  });
}
