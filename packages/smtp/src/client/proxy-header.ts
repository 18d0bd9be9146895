import { isIPv4, isIPv6 } from 'node:net';

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
/** Version 2, command PROXY (proxy-protocol.txt §2.2). */
const PROXY = 0x21;
const TCP4 = 0x11;
const TCP6 = 0x21;

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/**
 * Writes a PROXY protocol header, version 2 (HAProxy's proxy-protocol.txt §2.2), for a TCP connection.
 * @param source port 0 for any.
 * @throws RangeError where the two are not both IPv4 or both IPv6.
 */
export function formatProxyHeader(source: Endpoint, target: Endpoint): Buffer {
  const family = [source, target].every(({ address }) => isIPv4(address))
    ? TCP4
    : [source, target].every(({ address }) => isIPv6(address))
      ? TCP6
      : undefined;
  if (family === undefined)
    throw new RangeError(`${source.address} and ${target.address} are not addresses of one family`);
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(source.port, 0);
  ports.writeUInt16BE(target.port, 2);
  const body = Buffer.concat([octetsOf(source.address), octetsOf(target.address), ports]);
  const head = Buffer.from([PROXY, family, 0, body.length]);
  return Buffer.concat([SIGNATURE, head, body]);
}

function octetsOf(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  // The URL standard writes every form of an address as one: hexadecimal groups, the longest run of zeros as `::`.
  const [before = '', after] = new URL(`http://[${address.replace(/%.*$/, '')}]`).hostname.slice(1, -1).split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)));
  const [head, tail] = [groups(before), groups(after ?? '')];
  const octets = Buffer.alloc(16);
  for (const [at, group] of head.entries()) octets.writeUInt16BE(group, at * 2);
  for (const [at, group] of tail.entries()) octets.writeUInt16BE(group, (8 - tail.length + at) * 2);
  return octets;
}
