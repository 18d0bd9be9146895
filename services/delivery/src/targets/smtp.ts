import type { Config, RouteConfig } from '@waypost/config';
import type { JobRecipient, LaneJob, Reply, Target } from '@waypost/mail';
import { SmtpError } from '@waypost/mail';
import type { MailResolver } from '@waypost/dns';
import type { Metrics } from '@waypost/runtime';
import { type Hop, HopError, type RecipientResult, SmtpClient, type TlsMode } from '@waypost/smtp';
import { forAll, type LaneTarget, type Outgoing, type Result, type TargetOutcome } from '../target.js';

export interface SmtpTargetDeps {
  readonly config: () => Config;
  readonly resolver: MailResolver;
  readonly metrics: Metrics;
}

type SmtpKind = Extract<Target, { kind: 'mx' | 'smtp' | 'smtps' | 'lmtp' | 'lmtp-unix' }>;

/** MX hosts, smart hosts and LMTP servers: one connection at a time, kept for the lane's next message. */
export class SmtpTarget implements LaneTarget {
  readonly kind: string;
  #client: SmtpClient | undefined;
  #sent = 0;
  #finished = false;

  constructor(
    private readonly target: SmtpKind,
    private readonly deps: SmtpTargetDeps,
  ) {
    this.kind = target.kind;
  }

  get alive(): boolean {
    return !this.#finished;
  }

  async prepare(job: LaneJob): Promise<TargetOutcome | undefined> {
    const fits = this.#client?.usable && (!job.requireTls || this.#client.hop.tls === 'verify');
    if (fits) return undefined;
    this.#client?.close();
    this.#client = undefined;
    try {
      this.#client = await this.#connect(job);
      return undefined;
    } catch (error) {
      this.#finished = true;
      return failed(job, error);
    }
  }

  async send(outgoing: Outgoing): Promise<TargetOutcome> {
    const client = this.#client as SmtpClient;
    const { job, open } = outgoing;
    const limit = this.deps.config().delivery.recipients_per_transaction;
    const results: Result[] = [];
    for (const group of groups(job.rcpts.filter(({ i }) => open.includes(i)), limit)) {
      if (!client.usable) {
        results.push(...group.map(({ i }) => ({ i, kind: 'deferred' as const, reply: LOST })));
        continue;
      }
      const fared = await this.#transaction(client, outgoing, group);
      results.push(...group.map(({ i }, at) => this.#result(i, fared[at] as RecipientResult, client)));
      if (fared.every(({ phase }) => phase !== 'dot')) await client.reset();
    }
    this.#sent += 1;
    if (!client.usable || this.#sent >= this.deps.config().delivery.messages_per_connection) this.#finished = true;
    return { results, remote: client.remote };
  }

  close(): void {
    this.#client?.close();
  }

  async #transaction(client: SmtpClient, { job, body }: Outgoing, group: readonly JobRecipient[]): Promise<RecipientResult[]> {
    const [first] = group as [JobRecipient];
    const { ret, envid } = job;
    const { notify, orcpt } = first;
    const wanted = ret || envid || notify || orcpt;
    return client.transaction({
      sender: job.sender,
      recipients: group.map(({ to }) => to),
      size: job.ref.size + (job.prepend?.length ?? 0),
      eightBit: job.body === '8BITMIME' || job.smtputf8 === true,
      smtputf8: job.smtputf8 === true,
      requireTls: job.requireTls === true,
      body: await body(),
      ...(wanted ? { dsn: { ret, envid, notify, orcpt } } : {}),
    });
  }

  #result(i: number, { reply, phase }: RecipientResult, client: SmtpClient): Result {
    if (phase === 'lost_after_dot') return { i, kind: 'unknown', reply };
    if (phase === 'dot' && reply.code >= 200 && reply.code < 300) {
      const dsn = client.hop.lmtp ? 'final' : client.supports('DSN') ? 'passed_on' : 'relayed';
      return { i, kind: 'delivered', reply, dsn };
    }
    return { i, kind: reply.code >= 500 ? 'bounced' : 'deferred', reply };
  }

  /** Tries the hosts in their order until one gives a session. */
  async #connect(job: LaneJob): Promise<SmtpClient> {
    let last: unknown;
    for (const hop of await this.#hops(job)) {
      try {
        const client = await this.#open(hop);
        this.deps.metrics.deliveryConnections.inc({ target: this.kind, result: 'ok' });
        return client;
      } catch (error) {
        this.deps.metrics.deliveryConnections.inc({ target: this.kind, result: (error as HopError).phase ?? 'error' });
        last = error;
      }
    }
    throw last;
  }

  /** Opportunistic TLS that fails goes on in the clear, over a new connection (RFC 7435). */
  async #open(hop: Hop): Promise<SmtpClient> {
    try {
      return await SmtpClient.connect(hop);
    } catch (error) {
      if (hop.tls !== 'opportunistic' || !(error instanceof HopError) || error.phase !== 'tls') throw error;
      return SmtpClient.connect({ ...hop, tls: 'none' });
    }
  }

  async #hops(job: LaneJob): Promise<Hop[]> {
    const { target } = this;
    const { delivery, server } = this.deps.config();
    const route = this.#route(job);
    const common = {
      ehlo: delivery.ehlo ?? server.hostname,
      timeouts: delivery.timeouts,
      localAddress: delivery.local_address,
      tls: this.#tls(job, route),
      lmtp: target.kind === 'lmtp' || target.kind === 'lmtp-unix',
      implicit: target.kind === 'smtps',
      ...(route?.auth ? { auth: route.auth } : {}),
    };
    if (target.kind === 'lmtp-unix') return [{ ...common, address: target.path, port: 0, host: target.path, unix: true }];
    if (target.kind !== 'mx') {
      const addresses = await this.#addressesOf(target.host);
      return addresses.map((address) => ({ ...common, address, host: target.host, port: target.port }));
    }
    const hosts = await this.deps.resolver.resolveMail(target.domain);
    return hosts.flatMap(({ name, addresses }) =>
      addresses.map((address) => ({ ...common, address, host: name, port: delivery.mx_port })),
    );
  }

  async #addressesOf(host: string): Promise<string[]> {
    if (host === 'localhost') return ['127.0.0.1', '::1'];
    const addresses = await this.deps.resolver.addresses(host);
    if (addresses.length === 0) throw new SmtpError(451, '4.4.4', `The next hop ${host} has no address`);
    return addresses;
  }

  #route(job: LaneJob): RouteConfig | undefined {
    return this.deps.config().routes.find((route) => route.match === job.route);
  }

  #tls(job: LaneJob, route: RouteConfig | undefined): TlsMode {
    if (job.requireTls) return 'verify';
    const { kind } = this.target;
    if (route?.tls) return route.tls;
    if (kind === 'lmtp' || kind === 'lmtp-unix') return 'none';
    // A password goes to no one who cannot show who he is.
    return route?.auth ? 'verify' : 'opportunistic';
  }
}

const LOST: Reply = { code: 451, enhanced: '4.4.2', text: 'The connection was lost before this recipient was tried' };

/** No session: a lasting refusal of the domain itself bounces, all else is tried again. */
function failed(job: LaneJob, error: unknown): TargetOutcome {
  if (error instanceof SmtpError) {
    const kind = error.reply.code >= 500 ? 'bounced' : 'deferred';
    return { results: forAll(job, { kind, reply: error.reply }) };
  }
  if (error instanceof HopError) {
    // A 5yz greeting or login is about us or the host at this time, not about the recipients (RFC 5321 §3.1).
    return { results: forAll(job, { kind: 'deferred', reply: error.reply }) };
  }
  const text = `The next hop could not be reached: ${(error as Error).message}`;
  return { results: forAll(job, { kind: 'deferred', reply: { code: 451, enhanced: '4.4.1', text } }) };
}

/** Recipients that can share a transaction: a client states one NOTIFY and ORCPT for all (nodemailer's limit, not SMTP's). */
function groups(rcpts: readonly JobRecipient[], limit: number): JobRecipient[][] {
  const byParams = new Map<string, JobRecipient[]>();
  for (const rcpt of rcpts) {
    const key = rcpt.orcpt || rcpt.notify ? JSON.stringify([rcpt.orcpt, rcpt.notify]) : '';
    const list = byParams.get(key);
    if (list) list.push(rcpt);
    else byParams.set(key, [rcpt]);
  }
  return [...byParams.values()].flatMap((list) => {
    const parts: JobRecipient[][] = [];
    for (let at = 0; at < list.length; at += limit) parts.push(list.slice(at, at + limit));
    return parts;
  });
}
