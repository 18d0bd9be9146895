import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Answer,
  aRecord,
  countNumbers,
  DnsServer,
  freePort,
  mxRecord,
  type Phase,
  SmtpPeer,
  sendLoad,
  startRedis,
  startWaypost,
  type TestRedis,
  type WaypostProcess,
  waitFor,
} from '@waypost/testkit';

/** One mail host: what came to it when, and from which source. */
export class MailHost {
  /** When each message was taken, ms. */
  readonly taken: number[] = [];
  /** Most connections there were at once. */
  most = 0;
  /** When MAIL was said, ms since the epoch, whatever the answer was. */
  readonly asked: number[] = [];
  /** What it says to a source, known by its EHLO name; undefined is the usual. */
  answer: (phase: Phase, source: string) => Answer | Promise<Answer> = () => undefined;
  readonly #names = new Map<number, string>();

  constructor(
    readonly name: string,
    readonly address: string,
  ) {}

  peer!: SmtpPeer;

  async start(port: number): Promise<void> {
    this.peer = await SmtpPeer.start(
      { script: (phase, line, state) => this.#script(phase, line, state) },
      port,
      this.address,
    );
  }

  async #script(phase: Phase, line: string, { connection }: { connection: number }): Promise<Answer> {
    if (phase === 'ehlo') this.#names.set(connection, line.split(' ')[1] ?? '');
    if (phase === 'mail') this.asked.push(Date.now());
    const { open } = this.peer;
    const answer = await this.answer(phase, this.#names.get(connection) ?? '');
    if (phase === 'greeting' && answer === undefined) this.most = Math.max(this.most, open);
    if (phase === 'dot' && answer === undefined) this.taken.push(performance.now());
    return answer;
  }

  /** @returns how many messages each source brought, by the name it says in EHLO. */
  get bySource(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { connection } of this.peer.messages) {
      const name = this.#names.get(connection) ?? '';
      counts[name] = (counts[name] ?? 0) + 1;
    }
    return counts;
  }
}

/** @returns the most of these times within any span of so many ms. */
export function mostWithin(span: number, ...lists: readonly (readonly number[])[]): number {
  const times = lists.flat().sort((a, b) => a - b);
  return Math.max(0, ...times.map((start, at) => times.slice(at).filter((time) => time < start + span).length));
}

/** Mail hosts found by DNS, and several delivery processes before them. */
export interface Sites {
  readonly redis: TestRedis;
  readonly front: WaypostProcess;
  readonly deliveries: readonly WaypostProcess[];
  host(name: string): MailHost;
  /** Submits so many messages to addresses `n@domain`, domain by domain in turn. */
  load(domains: readonly string[], messages: number, listener?: string): Promise<void>;
  /** Waits until so many messages came to hosts, none of them twice. */
  arrived(hosts: readonly string[], messages: number, timeout?: number): Promise<void>;
  stop(): Promise<void>;
}

export interface SitesOptions {
  /** Hosts by domain, the most preferred first. */
  readonly domains: Readonly<Record<string, readonly string[]>>;
  /** Addresses of hosts. */
  readonly hosts: Readonly<Record<string, string>>;
  readonly deliveries?: number;
  readonly listeners?: readonly ({ name: string } & Record<string, unknown>)[];
  readonly config?: Record<string, unknown>;
}

export async function startSites({
  domains,
  hosts,
  deliveries = 1,
  listeners,
  config = {},
}: SitesOptions): Promise<Sites> {
  const dir = mkdtempSync(join(tmpdir(), 'waypost-sites-'));
  const port = await freePort();
  const all = new Map(Object.entries(hosts).map(([name, address]) => [name, new MailHost(name, address)]));
  for (const host of all.values()) await host.start(port);
  const dns = await DnsServer.start({
    ...Object.fromEntries(Object.entries(hosts).map(([name, address]) => [`${name} A`, [aRecord(name, address)]])),
    ...Object.fromEntries(
      Object.entries(domains).map(([domain, names]) => [
        `${domain} MX`,
        names.map((name, at) => mxRecord(domain, 10 * (at + 1), name)),
      ]),
    ),
  });
  const redis = await startRedis();
  const { delivery, ...rest } = config;
  const start = (...services: string[]) =>
    startWaypost({
      redis: redis.url,
      services,
      dir,
      listeners: services.includes('ingress') ? (listeners ?? [{ name: 'trusted' }]) : [],
      config: {
        routes: [{ match: '*', to: 'mx' }],
        delivery: {
          ...{ dns_servers: [dns.address], mx_port: port, idle: '100ms' },
          ...{ retry: { initial: '500ms', factor: 1, jitter: 0 }, ...(delivery as object) },
        },
        ...rest,
      },
    });
  const processes = await Promise.all([
    start('ingress', 'policy', 'events'),
    ...Array.from({ length: deliveries }, () => start('delivery')),
  ]);
  const [front, ...others] = processes as [WaypostProcess, ...WaypostProcess[]];
  let first = 0;
  return {
    redis,
    front,
    deliveries: others,
    host: (name) => all.get(name) as MailHost,
    load: async (to, messages, listener = 'trusted') => {
      const recipient = (number: number) => `n${number}@${to[number % to.length]}`;
      await sendLoad({ port: front.port(listener), messages, sessions: 5, size: 100, first, recipient });
      first += messages;
    },
    arrived: async (names, messages, timeout = 40_000) => {
      const bodies = () => names.flatMap((name) => all.get(name)?.peer.messages ?? []).map(({ body }) => body);
      await waitFor(`${messages} messages at ${names}`, () => bodies().length >= messages, timeout);
      const times = [...countNumbers(bodies()).values()];
      if (times.length !== messages || times.some((count) => count !== 1))
        throw new Error(`${times.length} messages came, and some up to ${Math.max(...times)} times`);
    },
    stop: async () => {
      await Promise.all(processes.map((one) => one.stop()));
      for (const host of all.values()) await host.peer.stop();
      await dns.stop();
      await redis.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
