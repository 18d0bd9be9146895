import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';
import dnsPacket, { type Answer, type DecodedPacket, type RecordType } from 'dns-packet';

/** A name server. */
export interface NameServer {
  readonly address: string;
  readonly port: number;
}

/** A reply, and whether the name server vouches for it: the AD bit (RFC 4035 §3.2.3). */
export interface DnsReply {
  readonly code: string;
  readonly answers: readonly Answer[];
  readonly secure: boolean;
  /** How long it may be remembered that there is no answer, s (RFC 2308 §5); absent where the reply does not say. */
  readonly negativeTtl?: number;
}

/** What one datagram may hold without being fragmented on its way (DNS flag day 2020). */
const UDP_SIZE = 1232;
const LONGEST_REPLY = 65_535;

/**
 * Asks one name server, over UDP, and over TCP where the answer does not fit a datagram. The question asks for the AD bit
 * (RFC 6840 §5.7).
 * @param timeout ms for each of both.
 * @throws Error with a code where no answer comes.
 */
export async function query(server: NameServer, name: string, type: RecordType, timeout: number): Promise<DnsReply> {
  const id = randomInt(0x10000);
  const question = dnsPacket.encode({
    type: 'query',
    id,
    flags: dnsPacket.RECURSION_DESIRED | dnsPacket.AUTHENTIC_DATA,
    questions: [{ type, name, class: 'IN' }],
    additionals: [
      {
        type: 'OPT',
        name: '.',
        udpPayloadSize: UDP_SIZE,
        extendedRcode: 0,
        ednsVersion: 0,
        flags: 0,
        flag_do: false,
        options: [],
      },
    ],
  });
  const accept = (message: Buffer) => readReply(message, id, name, type);
  const reply = await overUdp(server, question, accept, timeout);
  const whole = reply.flag_tc ? await overTcp(server, question, accept, timeout) : reply;
  return {
    code: (whole as DecodedPacket & { readonly rcode: string }).rcode,
    answers: whole.answers ?? [],
    secure: whole.flag_ad,
    ...negativeTtl(whole.authorities ?? []),
  };
}

/** The lesser of the SOA's own TTL and its last field (RFC 2308 §5). */
function negativeTtl(authorities: readonly Answer[]): Pick<DnsReply, 'negativeTtl'> {
  const soa = authorities.find(({ type }) => type === 'SOA') as
    | { ttl?: number; data: { minimum?: number } }
    | undefined;
  if (soa?.data.minimum === undefined) return {};
  return { negativeTtl: Math.min(soa.ttl ?? 0, soa.data.minimum) };
}

/** @returns the reply to our question; undefined for anything else, as a forger sends. */
function readReply(message: Buffer, id: number, name: string, type: RecordType): DecodedPacket | undefined {
  let packet: DecodedPacket;
  try {
    packet = dnsPacket.decode(message);
  } catch {
    return undefined;
  }
  const [question] = packet.questions ?? [];
  const fits = packet.flag_qr && packet.id === id && question?.type === type;
  return fits && question.name.toLowerCase() === name.toLowerCase() ? packet : undefined;
}

type Accept = (message: Buffer) => DecodedPacket | undefined;

function overUdp(server: NameServer, question: Buffer, accept: Accept, timeout: number): Promise<DecodedPacket> {
  // A socket for each question: its port is hard to guess, and only the server's datagrams reach a connected one.
  const socket = createSocket(isIPv6(server.address) ? 'udp6' : 'udp4');
  return new Promise<DecodedPacket>((resolve, reject) => {
    const timer = setTimeout(() => reject(late()), timeout);
    socket.once('error', reject);
    socket.on('message', (message) => {
      const packet = accept(message);
      if (packet) resolve(packet);
    });
    socket.connect(server.port, server.address, () => socket.send(question));
    socket.once('close', () => clearTimeout(timer));
  }).finally(() => socket.close());
}

function overTcp(server: NameServer, question: Buffer, accept: Accept, timeout: number): Promise<DecodedPacket> {
  const socket = connect(server.port, server.address);
  return new Promise<DecodedPacket>((resolve, reject) => {
    let received = Buffer.alloc(0);
    socket.setTimeout(timeout, () => reject(late()));
    socket.once('error', reject);
    socket.once('close', () => reject(Object.assign(new Error('closed'), { code: 'ECONNRESET' })));
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      const length = received.length < 2 ? LONGEST_REPLY : received.readUInt16BE(0);
      if (received.length < length + 2) return;
      const packet = accept(received.subarray(2, length + 2));
      if (packet) resolve(packet);
      else reject(Object.assign(new Error('not the reply to our question'), { code: 'EBADRESP' }));
    });
    const length = Buffer.alloc(2);
    length.writeUInt16BE(question.length);
    socket.write(Buffer.concat([length, question]));
  }).finally(() => socket.destroy());
}

const late = () => Object.assign(new Error('no answer in time'), { code: 'ETIMEOUT' });
