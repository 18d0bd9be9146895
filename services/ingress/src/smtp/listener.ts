import { type Config, type ListenerConfig, Networks } from '@waypost/config';
import { SmtpError } from '@waypost/mail';
import type { Runtime, Service } from '@waypost/runtime';
import { addressKey, type LoadedIdentities, WaypostSmtpServer } from '@waypost/smtp';
import type { Spool } from '@waypost/spool';
import type { BackPressure, Committer } from '@waypost/store';
import type { SMTPServerAddress, SMTPServerDataStream, SMTPServerSession } from 'smtp-server';
import type { InFlight } from '../in-flight.js';
import type { AbuseControl, Authenticator, Credential } from '../ports.js';
import { accept } from './accept.js';
import { Doorkeeper } from './doorkeeper.js';
import type { InlinePolicy } from './inline-policy.js';
import { type Login, Logins } from './logins.js';
import { Metering } from './metering.js';
import { MxChecks } from './mx-checks.js';
import type { ReportRecipients } from './returned.js';
import { checkRecipient, checkSender, type SessionRules, toEnvelope, toOrigin } from './session.js';

export interface ListenerDeps {
  readonly runtime: Runtime;
  readonly config: () => Config;
  readonly spool: Spool;
  readonly committer: Committer;
  readonly pressure: BackPressure;
  /** Asked before a message is taken. */
  readonly inline?: InlinePolicy | undefined;
  readonly inFlight: InFlight;
  readonly authenticator: Authenticator;
  readonly abuse: AbuseControl;
  readonly identities: LoadedIdentities | undefined;
  readonly reports: ReportRecipients;
}

type Reply = (error?: Error | null, message?: string) => void;
const DEFAULT_BANNER_DELAY = 100;

/** One configured SMTP listener. */
export class SmtpListener implements Service {
  readonly name: string;
  readonly #server: WaypostSmtpServer;
  readonly #rules: SessionRules;
  readonly #perAddress = new Map<string, number>();
  /** Under which address a session was counted; sessions that never came to be are not in it. */
  readonly #counted = new WeakMap<SMTPServerSession, string>();
  readonly #door: Doorkeeper;
  readonly #metering: Metering;
  readonly #checks: MxChecks;
  readonly #logins: Logins;
  #listening = false;

  constructor(
    private readonly listener: ListenerConfig,
    private readonly deps: ListenerDeps,
  ) {
    this.name = `smtp ${listener.name}`;
    const { hostname } = deps.config().server;
    this.#rules = { listener, allow: new Networks(listener.allow), hostname };
    const { abuse, runtime } = deps;
    const proxies = new Networks([...listener.proxy_protocol, ...listener.xclient]);
    this.#door = new Doorkeeper(listener, this.#rules.allow, proxies, { abuse, metrics: runtime.metrics });
    this.#checks = new MxChecks(listener, { abuse, config: deps.config, metrics: runtime.metrics });
    this.#logins = new Logins({ ...deps, door: this.#door });
    this.#metering = new Metering(listener, abuse, runtime.metrics);
    this.#server = this.#create();
  }

  async start(): Promise<void> {
    const { host, port } = this.listener;
    this.#server.on('error', (error) =>
      this.deps.runtime.log.debug({ error: error.message }, 'SMTP session ended in error'),
    );
    await new Promise<void>((resolve, reject) => {
      this.#server.server.once('error', reject);
      this.#server.listen(port, host, () => resolve());
    });
    this.#listening = true;
  }

  /** The port it listens on. */
  get port(): number {
    const address = this.#server.server.address();
    return address && typeof address === 'object' ? address.port : this.listener.port;
  }

  ready(): string | undefined {
    return this.#listening ? undefined : 'not listening';
  }

  /** Takes certificates that were replaced. */
  updateIdentities(identities: LoadedIdentities): void {
    this.#server.updateSecureContext({ ...identities.default, sniOptions: identities.bySni as Map<string, object> });
  }

  /** Stops listening; sessions without a transaction end now, the others when theirs is answered. */
  async stop(deadline: number): Promise<void> {
    this.#listening = false;
    const end = Date.now() + deadline;
    const closed = new Promise<void>((resolve) => this.#server.server.close(() => resolve()));
    const sweep = () => {
      for (const connection of [...this.#server.connections]) {
        const busy = connection.session.envelope?.mailFrom;
        if (!busy || Date.now() >= end) connection.send(421, '4.3.2 Service shutting down, try again later', false);
      }
    };
    sweep();
    const timer = setInterval(sweep, 50);
    await closed;
    clearInterval(timer);
  }

  #create(): WaypostSmtpServer {
    const { listener, deps } = this;
    const { limits, server } = deps.config();
    const submission = listener.kind === 'submission';
    return new WaypostSmtpServer({
      limits: {
        connections: limits.connections,
        connectionsPerAddress: limits.connections_per_address,
        commands: limits.commands_per_session,
        errors: limits.errors_per_session,
        transactions: limits.transactions_per_session,
        transactionTime: limits.transaction_timeout,
        bannerDelay: listener.kind === 'mx' ? (listener.banner_delay ?? DEFAULT_BANNER_DELAY) : 0,
        strictCommands: listener.bare_newlines === 'reject',
        bareAddresses: listener.kind !== 'mx',
      },
      proxies: new Networks(listener.proxy_protocol),
      xclient: new Networks(listener.xclient),
      gate: this.#door.gate,
      tarpit: deps.abuse.tarpit,
      onOffence: this.#door.offended,
      smtp: {
        name: server.hostname,
        banner: 'Waypost',
        size: limits.message_size,
        maxRecipients: limits.recipients,
        socketTimeout: limits.idle_timeout,
        secure: listener.tls === 'implicit',
        authOptional: !submission,
        authMethods: ['PLAIN', 'LOGIN'],
        allowInsecureAuth: listener.auth_without_tls,
        disabledCommands: [
          ...(submission ? [] : ['AUTH']),
          ...(listener.tls === 'starttls' ? [] : ['STARTTLS']),
          ...UNUSED,
        ],
        hideSTARTTLS: listener.tls !== 'starttls',
        ...(deps.identities
          ? { ...deps.identities.default, sniOptions: deps.identities.bySni as Map<string, object> }
          : {}),
        onConnect: (session, reply) => this.#answer(reply, () => this.#connect(session)),
        onAuth: (auth, session, reply) => this.#auth(auth, session, reply),
        onMailFrom: (address, session, reply) => this.#answer(reply, () => this.#mail(address, session)),
        onRcptTo: (address, session, reply) => this.#answer(reply, () => this.#rcpt(address, session)),
        onData: (stream, session, reply) => this.#data(stream, session, reply),
        onClose: (session) => this.#close(session),
      },
    });
  }

  /** Answers at once where the check needs not wait for anything. */
  #answer(reply: Reply, check: () => Promise<void> | undefined | void): void {
    let checked: Promise<void> | undefined | void;
    try {
      checked = check();
    } catch (error) {
      return reply(this.#refusal(error));
    }
    if (!checked) return reply();
    checked.then(
      () => reply(),
      (error) => reply(this.#refusal(error)),
    );
  }

  #connect(session: SMTPServerSession): void {
    const { metrics } = this.deps.runtime;
    const { connections_per_address: limit } = this.deps.config().limits;
    const key = addressKey(session.remoteAddress);
    const count = (this.#perAddress.get(key) ?? 0) + 1;
    this.#perAddress.set(key, count);
    this.#counted.set(session, key);
    metrics.smtpSessions.inc({ listener: this.listener.name });
    const result = count > limit ? 'refused' : 'accepted';
    metrics.smtpSessionsTotal.inc({ listener: this.listener.name, result });
    if (count > limit) throw new SmtpError(421, '4.7.0', 'Too many connections from your address, try again later');
  }

  #close(session: SMTPServerSession): void {
    this.#metering.abandoned(session);
    const key = this.#counted.get(session);
    if (key === undefined) return;
    this.#counted.delete(session);
    const count = (this.#perAddress.get(key) ?? 1) - 1;
    if (count > 0) this.#perAddress.set(key, count);
    else this.#perAddress.delete(key);
    this.deps.runtime.metrics.smtpSessions.dec({ listener: this.listener.name });
  }

  #auth(
    auth: Login,
    session: SMTPServerSession,
    reply: (error: Error | null | undefined, response?: { user?: unknown }) => void,
  ): void {
    if (auth.method === 'XCLIENT') return reply(null, {});
    this.#logins.prove(auth, session).then(
      (user) => reply(null, { user }),
      (error) => reply(this.#refusal(error)),
    );
  }

  #mail(address: SMTPServerAddress, session: SMTPServerSession): Promise<void> | undefined {
    this.#door.check(session.remoteAddress);
    const reason = this.deps.pressure.reason();
    if (reason) throw new SmtpError(452, '4.3.1', `Try again later: ${reason}`);
    if (!this.deps.inFlight.hasRoom()) throw new SmtpError(452, '4.3.1', 'Too many messages at once, try again later');
    const sender = checkSender(address, session, this.#rules);
    const { SIZE } = (address.args || {}) as { SIZE?: string };
    const metered = () => this.#metering.begin(session, sender, Number(SIZE) || 0);
    return after(this.#checks.mail(session, sender), metered);
  }

  #rcpt(address: SMTPServerAddress, session: SMTPServerSession): Promise<void> | undefined {
    const { reports } = this.deps;
    const others = session.envelope.rcptTo.map((one) => one.address);
    // Guesses are no offence: there is nothing to be guessed, and a host may return what is too old.
    if (reports.covers(address.address)) return reports.check(address.address, others);
    reports.checkCompany(others);
    try {
      checkRecipient(address, session, this.#rules);
    } catch (error) {
      this.#door.refused(error, 'rcpt', session.remoteAddress);
      throw error;
    }
    const checked = this.#checks.rcpt(session, address.address)?.catch((error) => {
      this.#door.refused(error, 'rcpt', session.remoteAddress);
      throw error;
    });
    return after(checked, () => this.#metering.recipient(session, address.address));
  }

  #data(stream: SMTPServerDataStream, session: SMTPServerSession, reply: Reply): void {
    const { limits, server, spool } = this.deps.config();
    const origin = toOrigin(session, this.listener);
    const settings = {
      hostname: server.hostname,
      inlineMax: spool.inline_max,
      headerSize: limits.header_size,
      receivedLimit: limits.received_headers,
      bareNewlines: this.listener.bare_newlines,
    };
    const loggedIn = this.listener.kind === 'submission';
    const credential = loggedIn ? (session.user as unknown as Credential | undefined) : undefined;
    const foreign = this.#checks.foreignDomains(session);
    const incoming = { envelope: toEnvelope(session), origin, stream: stream as never, credential, foreign };
    accept(incoming, settings, this.deps).then(
      (id) => {
        this.deps.runtime.metrics.messagesReceived.inc({ kind: origin.kind, protocol: origin.protocol });
        this.#metering.accepted(session, stream.byteLength, incoming.envelope.recipients.length);
        reply(null, `Ok: queued as ${id}`);
      },
      (error) => {
        this.#metering.abandoned(session);
        this.#door.refused(error, 'data', session.remoteAddress);
        reply(this.#refusal(error));
      },
    );
  }

  /** @returns what the client is told; the private cause is logged. */
  #refusal(error: unknown, unknown = new SmtpError(451, '4.3.0', 'Local error, try again later')): Error {
    const { log, metrics } = this.deps.runtime;
    const known = error instanceof SmtpError;
    const refusal = known ? error : unknown;
    if (!known || error.cause) {
      const cause = (known ? error.cause : error) as Error;
      log.warn(
        { listener: this.listener.name, reply: refusal.message, cause: cause?.message },
        'refused for our own trouble',
      );
    }
    metrics.messagesRefused.inc({ kind: this.listener.kind, code: String(refusal.reply.code) });
    return toReplyError(refusal);
  }
}

/** Goes on at once where there is nothing to wait for. */
function after(first: Promise<void> | undefined, next: () => Promise<void> | undefined): Promise<void> | undefined {
  return first ? first.then(next) : next();
}

/** Commands that a mail server has no use for any more. */
const UNUSED = ['WIZ', 'SHELL', 'KILL', 'XFORWARD'];

function toReplyError({ reply, cause }: SmtpError): Error {
  const error = new Error(`${reply.enhanced} ${reply.text}`, { cause });
  return Object.assign(error, { responseCode: reply.code });
}
