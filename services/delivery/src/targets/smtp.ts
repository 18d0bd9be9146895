import {
  type BounceSettings,
  type Config,
  type EgressSource,
  parseProxy,
  type RouteConfig,
  routeId,
} from '@waypost/config';
import type { Candidate, MailResolver } from '@waypost/dns';
import { type JobRecipient, type LaneJob, type Outcome, type Reply, SmtpError, type Target } from '@waypost/mail';
import type { Metrics } from '@waypost/runtime';
import type { LaneTerms } from '@waypost/shaping';
import { type Hop, HopError, type ProxiedWay, type SmtpClient, type TlsMode } from '@waypost/smtp';
import { leaving, leavingSize } from '@waypost/spool';
import { forAll, type LaneTarget, OUR_TROUBLE, type Outgoing, type Result, type TargetOutcome } from '../target.js';
import { connectGuarded, connectHop } from '../transport/connect.js';
import { covers, type Demand, type Guard, type TransportGuards } from '../transport/guard.js';
import type { TlsObserver } from '../transport/sessions.js';
import { lookAtHeader } from './header.js';
import { type Group, groups, marksOf } from './transactions.js';

export interface SmtpTargetDeps {
  readonly config: () => Config;
  readonly resolver: MailResolver;
  readonly metrics: Metrics;
  readonly terms: () => LaneTerms;
  readonly guards: TransportGuards;
  readonly onTls: TlsObserver;
  /** Where connections come from; the machine's own address where absent. */
  readonly source: EgressSource | undefined;
}

type SmtpKind = Extract<Target, { kind: 'mx' | 'smtp' | 'smtps' | 'lmtp' | 'lmtp-unix' }>;

/** MX hosts, smart hosts and LMTP servers: one connection at a time, kept for the lane's next message. */
export class SmtpTarget implements LaneTarget {
  readonly kind: string;
  #client: SmtpClient | undefined;
  /** What the connection was made under. */
  #made: Made | undefined;
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
    // Routes to one host share its lane; what they ask of a connection may differ.
    const route = this.#route(job);
    const demand = await this.#demand(job, route);
    if (this.#client?.usable && this.#made && this.#willDo(this.#client, this.#made, demand, route)) return undefined;
    this.#client?.close();
    this.#client = undefined;
    try {
      const { client, guard } = await this.#connect(job, demand);
      this.#client = client;
      this.#made = { demand, guard, auth: JSON.stringify(route?.auth) };
      return undefined;
    } catch (error) {
      this.#finished = true;
      return failed(job, error);
    }
  }

  async send(outgoing: Outgoing): Promise<TargetOutcome> {
    const client = this.#client as SmtpClient;
    const { job, open } = outgoing;
    const limit = this.deps.terms().recipientsPerTransaction;
    const results: Result[] = [];
    let trouble = false;
    let error: Error | undefined;
    const tried = job.rcpts.filter(({ i }) => open.includes(i));
    const waiting = groups(job, tried, limit, this.#bounces);
    for (let group = waiting.shift(); group; group = waiting.shift()) {
      if (!client.usable) {
        results.push(...group.rcpts.map(({ i }) => ({ i, result: 'deferred' as const, reply: LOST })));
        continue;
      }
      const fared = await this.#transaction(client, outgoing, group).catch((thrown: Error) => {
        if (results.length === 0) throw thrown;
        error = thrown;
      });
      if (!fared) {
        results.push(...[group, ...waiting].flatMap(({ rcpts }) => rcpts.map(({ i }) => ({ i, ...OUR_TROUBLE }))));
        break;
      }
      trouble ||= fared.some(({ scope, result }) => scope === 'host' && result === 'deferred');
      const delivered = fared.some(({ result }) => result === 'delivered');
      const again: JobRecipient[] = [];
      group.rcpts.forEach((rcpt, at) => {
        const outcome = fared[at] as Outcome;
        // The peer takes fewer in one transaction than we gave: the rest follow in another (RFC 5321 §4.5.3.1.10).
        if (outcome.tooManyRecipients && delivered) again.push(rcpt);
        else results.push(toResult(rcpt.i, outcome, client));
      });
      if (again.length > 0) waiting.unshift({ ...group, rcpts: again });
      if (!delivered) await client.reset();
    }
    this.#sent += 1;
    if (error || !client.usable || this.#sent >= this.deps.terms().messagesPerConnection) this.#finished = true;
    return { results, remote: client.remote, ...(trouble ? { hostTrouble: true } : {}), ...(error ? { error } : {}) };
  }

  close(): void {
    this.#client?.close();
  }

  /** A mailbox sees who wrote; other hosts may send reports back. */
  get #bounces(): BounceSettings | undefined {
    const { kind } = this.target;
    return kind === 'lmtp' || kind === 'lmtp-unix' ? undefined : this.deps.config().bounces;
  }

  async #transaction(client: SmtpClient, { job, body }: Outgoing, group: Group): Promise<Outcome[]> {
    const [first] = group.rcpts as [JobRecipient];
    const { ret, envid } = job;
    const { notify, orcpt } = first;
    const wanted = ret || envid || notify || orcpt;
    const { sender, head } = marksOf(job, group, this.#bounces);
    const whole = leaving(await body(), { prepend: head });
    const { message, utf8Header } = job.smtputf8 ? await lookAtHeader(whole) : { message: whole, utf8Header: false };
    const sent = client.transaction({
      sender,
      recipients: group.rcpts.map(({ to }) => to),
      size: leavingSize(job.ref.size, job) + head.length,
      eightBit: job.body === '8BITMIME' || job.smtputf8 === true,
      smtputf8: job.smtputf8 === true,
      utf8Header,
      requireTls: job.requireTls === true,
      body: message,
      ...(wanted ? { dsn: { ret, envid, notify, orcpt } } : {}),
    });
    // A refusal before DATA leaves it unread, with its file open.
    return sent.finally(() => Buffer.isBuffer(message) || message.destroy());
  }

  /** Tries the hosts in their order until one gives a session. */
  async #connect(job: LaneJob, demand: Demand): Promise<{ client: SmtpClient; guard: Guard }> {
    let last: unknown;
    for await (const { hop, candidate } of this.#hops(job)) {
      try {
        const { client, guard } = candidate
          ? await connectGuarded(hop, { candidate, demand }, this.deps)
          : { client: await connectHop({ ...hop, tls: demand.tls }), guard: unguarded(demand.tls) };
        this.deps.metrics.deliveryConnections.inc({ target: this.kind, result: 'ok' });
        return { client, guard };
      } catch (error) {
        // No host of the domain may have this message.
        if (error instanceof SmtpError) throw error;
        this.deps.metrics.deliveryConnections.inc({
          target: this.kind,
          result: error instanceof HopError ? (error.fault ? 'proxy' : error.phase) : 'error',
        });
        last = error;
        // Without its proxy the source reaches no other host either.
        if (error instanceof HopError && error.fault === 'proxy') break;
      }
    }
    throw last;
  }

  async #demand(job: LaneJob, route: RouteConfig | undefined): Promise<Demand> {
    const { target } = this;
    const tls = this.#tls(route);
    if (target.kind === 'mx') return this.deps.guards.demand(job, target.domain, tls);
    // A host that the operator names is known for who it is.
    const requireTls = job.requireTls === true;
    return { domain: '', tls: requireTls ? 'verify' : tls, requireTls, relaxed: false, sts: {} };
  }

  /** Routes to one host share its lane, as do domains of one site; what they ask of a connection may differ. */
  #willDo({ hop }: SmtpClient, made: Made, wanted: Demand, route: RouteConfig | undefined): boolean {
    if (made.auth !== JSON.stringify(route?.auth)) return false;
    const shared =
      this.target.kind === 'mx' && !this.deps.resolver.validates && !made.demand.sts.policy && !wanted.sts.policy;
    // Without MTA-STS and DANE, one domain asks no more of the host than the other.
    const like = shared ? { ...made.demand, domain: wanted.domain } : made.demand;
    return covers(made.guard, hop.host, like, wanted);
  }

  async *#hops(job: LaneJob): AsyncGenerator<{ hop: Omit<Hop, 'tls'>; candidate?: Candidate }, void> {
    const { target } = this;
    const { delivery, server } = this.deps.config();
    const { source } = this.deps;
    const route = this.#route(job);
    const common = {
      ehlo: source?.ehlo ?? delivery.ehlo ?? server.hostname,
      timeouts: delivery.timeouts,
      ...wayFrom(source, delivery.local_address),
      lmtp: target.kind === 'lmtp' || target.kind === 'lmtp-unix',
      implicit: target.kind === 'smtps',
      ...(route?.auth ? { auth: route.auth } : {}),
    };
    const { resolver } = this.deps;
    if (target.kind === 'lmtp-unix') {
      yield { hop: { ...common, via: undefined, address: target.path, port: 0, host: target.path, unix: true } };
    } else if (target.kind === 'mx') {
      for await (const candidate of resolver.candidates(target.domain)) {
        const { address, name } = candidate;
        yield { hop: { ...common, address, host: name, port: delivery.mx_port }, candidate };
      }
    } else {
      for (const { address } of await resolver.resolveHost(target.host)) {
        yield { hop: { ...common, address, host: target.host, port: target.port } };
      }
    }
  }

  #route(job: LaneJob): RouteConfig | undefined {
    return this.deps.config().routes.find((route) => routeId(route) === job.route);
  }

  #tls(route: RouteConfig | undefined): TlsMode {
    const { kind } = this.target;
    const asked = route?.tls ?? this.deps.terms().tls;
    if (asked) return asked;
    if (kind === 'lmtp' || kind === 'lmtp-unix') return 'none';
    // A password goes to no one who cannot show who he is.
    return route?.auth ? 'verify' : 'opportunistic';
  }
}

/** What a connection was made under. */
interface Made {
  readonly demand: Demand;
  readonly guard: Guard;
  readonly auth: string | undefined;
}

const unguarded = (tls: TlsMode): Guard => ({ kind: 'none', tls });

/** @returns what of a hop the egress source decides: a local address, or the proxy. */
function wayFrom(source: EgressSource | undefined, own: string | undefined): Pick<Hop, 'localAddress' | 'via'> {
  if (source?.proxy === undefined) return { localAddress: source?.address ?? own };
  const proxy = parseProxy(source.proxy);
  const { address } = source;
  // A haproxy one connects from that address itself: it is not ours to bind to.
  const via: ProxiedWay = proxy.kind === 'haproxy' ? { proxy, source: address } : { proxy, localAddress: address };
  return { via };
}

const LOST: Reply = { code: 451, enhanced: '4.4.2', text: 'The connection was lost before this recipient was tried' };

/** No session: a lasting refusal of the domain itself bounces, all else is tried again. */
function failed(job: LaneJob, error: unknown): TargetOutcome {
  if (error instanceof SmtpError) {
    const result = error.reply.code >= 500 ? 'bounced' : 'deferred';
    return { results: forAll(job, { result, reply: error.reply }) };
  }
  if (error instanceof HopError)
    return {
      results: forAll(job, resultOf(error.outcome)),
      // A proxy's trouble says nothing of the site.
      ...(error.fault === undefined || error.fault === 'host' ? { hostTrouble: true } : {}),
    };
  const text = `The next hop could not be reached: ${(error as Error).message}`;
  return { results: forAll(job, { result: 'deferred', reply: { code: 451, enhanced: '4.4.1', text } }) };
}

const resultOf = ({ result, reply, remote, phase }: Outcome) => ({ result, reply, remote, phase });

/** @returns what a recipient's outcome means here: who is to report a success (RFC 3461 §5.2.2) beside the outcome itself. */
function toResult(i: number, { result, reply, remote, phase }: Outcome, client: SmtpClient): Result {
  if (result !== 'delivered') return { i, result, reply, remote, phase };
  return {
    i,
    result,
    reply,
    remote,
    dsn: client.hop.lmtp ? 'final' : client.supports('DSN') ? 'passed_on' : 'relayed',
  };
}
