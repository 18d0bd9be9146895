import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import dnsPacket from 'dns-packet';

type Answer = dnsPacket.Answer;
const RCODES = { NOERROR: 0, SERVFAIL: 2, NXDOMAIN: 3, REFUSED: 5 } as const;

/** Records by `name type`, or what the server does instead of answering. */
export type Zone = Record<string, Found>;
type Found = readonly Answer[] | keyof typeof RCODES | 'SILENT';
/** Answers for names that no table could hold; undefined is NXDOMAIN. */
export type ZoneRule = (name: string, type: string) => Found | undefined;

/** A name server for tests on a loopback UDP port. It follows CNAMEs inside its zone, as a recursive server does. */
export class DnsServer {
  readonly #socket: Socket;
  /** Every question as `name type`, in order of arrival. */
  readonly questions: string[] = [];
  /** Goes with answers that something does not exist (RFC 2308). */
  soa: Answer | undefined;
  #waiting: (() => void)[] | undefined;

  private constructor(
    socket: Socket,
    public zone: Zone | ZoneRule,
  ) {
    this.#socket = socket;
    socket.on('message', (packet, peer) => {
      const reply = this.#reply(packet);
      if (!reply) return;
      const send = () => socket.send(reply, peer.port, peer.address);
      if (this.#waiting) this.#waiting.push(send);
      else send();
    });
  }

  static async start(zone: Zone | ZoneRule): Promise<DnsServer> {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new DnsServer(socket, zone);
  }

  /** `address:port`, for Resolver.setServers. */
  get address(): string {
    return `127.0.0.1:${(this.#socket.address() as AddressInfo).port}`;
  }

  /** Holds every answer back until `release`. */
  hold(): void {
    this.#waiting = [];
  }

  release(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const send of waiting) send();
  }

  async stop(): Promise<void> {
    this.#socket.close();
    await once(this.#socket, 'close');
  }

  #reply(packet: Buffer): Buffer | undefined {
    const query = dnsPacket.decode(packet);
    const question = query.questions?.[0];
    if (!question) return undefined;
    this.questions.push(`${question.name.toLowerCase()} ${question.type}`);
    const answers: Answer[] = [];
    let outcome = this.#find(question.name.toLowerCase(), question.type);
    for (let hops = 0; Array.isArray(outcome) && hops < 8; hops += 1) {
      answers.push(...outcome);
      const alias = outcome.find((record) => record.type === 'CNAME');
      if (!alias || question.type === 'CNAME') break;
      outcome = this.#find(String(alias.data).toLowerCase(), question.type);
    }
    if (outcome === 'SILENT') return undefined;
    const rcode = typeof outcome === 'string' ? RCODES[outcome] : RCODES.NOERROR;
    const authorities = this.soa && answers.length === 0 ? [this.soa] : [];
    const flags = dnsPacket.RECURSION_DESIRED | dnsPacket.RECURSION_AVAILABLE | rcode;
    return dnsPacket.encode({
      id: query.id ?? 0,
      type: 'response',
      flags,
      questions: [question],
      answers,
      authorities,
    });
  }

  #find(name: string, type: string): Found {
    if (typeof this.zone === 'function') return this.zone(name, type) ?? 'NXDOMAIN';
    const own = this.zone[`${name} ${type}`] ?? this.zone[`${name} CNAME`] ?? this.zone[`${name} *`];
    if (own) return own;
    return Object.keys(this.zone).some((key) => key.startsWith(`${name} `)) ? [] : 'NXDOMAIN';
  }
}

export const mxRecord = (name: string, preference: number, exchange: string): Answer => ({
  name,
  type: 'MX',
  ttl: 60,
  data: { preference, exchange },
});
/** In strings of 255 octets, as a record holds them. */
export const txtRecord = (name: string, text: string): Answer => ({
  name,
  type: 'TXT',
  ttl: 60,
  data: text.match(/.{1,255}/gs) ?? [''],
});
export const aRecord = (name: string, data: string, ttl = 60): Answer => ({ name, type: 'A', ttl, data });
export const aaaaRecord = (name: string, data: string, ttl = 60): Answer => ({ name, type: 'AAAA', ttl, data });
export const cnameRecord = (name: string, data: string): Answer => ({ name, type: 'CNAME', ttl: 60, data });
export const soaRecord = (name: string, ttl: number, minimum: number): Answer => ({
  name,
  type: 'SOA',
  ttl,
  data: { mname: `ns.${name}`, rname: `h.${name}`, serial: 1, refresh: 60, retry: 60, expire: 60, minimum },
});
