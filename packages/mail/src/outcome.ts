import { type BounceFacts, classifyBounce } from './bounce/index.js';
import type { RecipientStatus } from './message.js';
import { conditionOf, isPermanent, isTransient, type Reply } from './reply.js';

/** Where in an attempt something was said or went wrong. `dot` is from the end of the data to its reply. */
export type AttemptPhase =
  | 'dns'
  | 'connect'
  | 'greeting'
  | 'ehlo'
  | 'starttls'
  | 'auth'
  | 'mail'
  | 'rcpt'
  | 'data'
  | 'dot';

/** What one attempt came to, for whom, and what may be done at once. */
export interface Outcome {
  /** `unknown`: the connection died after the final dot, so the peer may have taken it. */
  readonly result: 'delivered' | 'deferred' | 'bounced' | 'unknown';
  /** Whom it concerns: one recipient, the whole transaction, or anything sent to this host now. */
  readonly scope: 'recipient' | 'transaction' | 'host';
  /** The next MX host is to be tried in the same attempt (RFC 5321 §5.1). */
  readonly nextHost: boolean;
  /** Too many recipients in one transaction: those left may go in another one at once (RFC 5321 §4.5.3.1.10). */
  readonly tooManyRecipients: boolean;
  readonly reply: Reply;
  /** What was answered, or during what it went wrong. */
  readonly phase: AttemptPhase;
  /** The reply is the remote's own; else it is our words for what went wrong. */
  readonly remote: boolean;
}

/**
 * Judges a reply that ended an attempt for someone: any refusal, or the reply to the final dot. Like Postfix, a 5yz
 * greeting defers (the host refuses us, not the mail), and so does failed AUTH or STARTTLS, which is for an operator to
 * mend.
 */
export function classifyReply(phase: AttemptPhase, reply: Reply): Outcome {
  const scope = scopeOf(phase, reply);
  const at = (result: Outcome['result'], nextHost = false) => ({
    result,
    scope,
    nextHost,
    tooManyRecipients: false,
    reply,
    phase,
    remote: true,
  });
  if (phase === 'dot' && reply.code >= 200 && reply.code < 300) return at('delivered');
  if (isTransient(reply))
    return { ...at('deferred', scope === 'host' || phase === 'mail'), tooManyRecipients: isTooMany(phase, reply) };
  if (!isPermanent(reply)) return at('deferred', scope === 'host');
  if (phase === 'greeting' || phase === 'starttls') return at('deferred', true);
  if (phase === 'auth') return at('deferred');
  if (isTooMany(phase, reply)) return { ...at('deferred'), tooManyRecipients: true };
  return at('bounced');
}

function scopeOf(phase: AttemptPhase, reply: Reply): Outcome['scope'] {
  if (reply.code === 421 && phase !== 'dot') return 'host';
  if (phase === 'rcpt') return 'recipient';
  return phase === 'mail' || phase === 'data' || phase === 'dot' ? 'transaction' : 'host';
}

/**
 * 552 to RCPT is an old way of saying 452 (RFC 5321 §4.5.3.1.10), unless its enhanced status says the mailbox is full.
 */
function isTooMany(phase: AttemptPhase, reply: Reply): boolean {
  if (phase !== 'rcpt' || (reply.code !== 452 && reply.code !== 552)) return false;
  const condition = conditionOf(reply);
  if (condition !== undefined && condition !== '0.0') return condition === '5.3';
  return reply.code === 552 ? !/quota|full|storage|space|size/i.test(reply.text) : /too many/i.test(reply.text);
}

/** An error of a socket, TLS or DNS, as Node gives it. */
export interface TransportError {
  readonly code?: string;
  readonly message: string;
}

/**
 * Judges an attempt that ended without a reply: a network failure defers, and the next host is tried; after the final
 * dot it is `unknown`, and only the operator's policy may send again.
 * @param peer `name [address]` for the text.
 */
export function classifyFailure(phase: AttemptPhase, error: TransportError, peer: string): Outcome {
  const unknown = phase === 'dot';
  const [enhanced, what] = describeFailure(phase, error);
  const doing = unknown ? 'after the final dot, before the reply: outcome unknown' : `in ${PHASE_NAMES[phase]}`;
  return {
    result: unknown ? 'unknown' : 'deferred',
    scope: phase === 'rcpt' || phase === 'mail' || phase === 'data' || unknown ? 'transaction' : 'host',
    nextHost: !unknown,
    tooManyRecipients: false,
    reply: { code: 451, enhanced, text: `${peer}: ${what} ${doing}` },
    phase,
    remote: false,
  };
}

const PHASE_NAMES: Record<AttemptPhase, string> = {
  dns: 'name resolution',
  connect: 'connecting',
  greeting: 'the greeting',
  ehlo: 'EHLO',
  starttls: 'STARTTLS',
  auth: 'AUTH',
  mail: 'MAIL',
  rcpt: 'RCPT',
  data: 'DATA',
  dot: 'the final dot',
};

const FAILURES: Readonly<Record<string, readonly [string, string]>> = {
  ECONNREFUSED: ['4.4.1', 'connection refused'],
  EHOSTUNREACH: ['4.4.1', 'host unreachable'],
  ENETUNREACH: ['4.4.1', 'network unreachable'],
  EADDRNOTAVAIL: ['4.4.1', 'no local address to connect from'],
  ECONNRESET: ['4.4.2', 'connection reset by the peer'],
  EPIPE: ['4.4.2', 'connection closed by the peer'],
};

function describeFailure(phase: AttemptPhase, error: TransportError): readonly [string, string] {
  const code = error.code ?? '';
  const known = FAILURES[code];
  if (known) return known;
  if (phase === 'dns') return ['4.4.3', `temporary failure (${code || firstLine(error.message)})`];
  const early = phase === 'connect' || phase === 'greeting';
  if (/TIMEDOUT|TIMEOUT/i.test(code) || /time(?:d )?out/i.test(error.message))
    return [early ? '4.4.1' : '4.4.2', 'no answer in time'];
  if (phase === 'starttls' || /TLS|SSL|CERT/.test(code)) return ['4.7.5', `TLS failed (${firstLine(error.message)})`];
  return [early ? '4.4.1' : '4.4.2', `connection failed (${firstLine(error.message)})`];
}

const firstLine = (text: string) => (text.split('\n')[0] ?? '').replace(/[\x00-\x1f\x7f-\x9f]/g, '?').slice(0, 200);

/** When and where an attempt was made; times in ms since the epoch. */
export interface AttemptFacts {
  readonly at: number;
  readonly attempts: number;
  readonly lane?: string;
  /** Host that gave the reply, `name [address]`. */
  readonly remote?: string;
  /** When the next attempt is; undefined when the message has expired. */
  readonly nextAttemptAt?: number;
  /** What becomes of an unknown outcome. */
  readonly unknownOutcome: 'retry' | 'bounce' | 'hold';
}

/** @returns the recipient's new state: a deferral without a next attempt has expired. */
export function statusAfter(
  outcome: Pick<Outcome, 'result' | 'reply'> & Partial<Pick<Outcome, 'phase' | 'remote'>>,
  facts: AttemptFacts,
): RecipientStatus {
  const { at, attempts, lane, remote, nextAttemptAt } = facts;
  const common = { at, attempts, reply: outcome.reply, ...(lane ? { lane } : {}), ...(remote ? { remote } : {}) };
  if (outcome.result === 'delivered') return { state: 'delivered', ...common };
  if (outcome.result === 'bounced') {
    return { state: 'bounced', ...common, ...(outcome.remote ? verdictOn(outcome.reply, outcome.phase) : {}) };
  }
  if (outcome.result === 'unknown' && facts.unknownOutcome === 'bounce') return { state: 'bounced', ...common };
  if (nextAttemptAt === undefined) return { state: 'expired', ...common };
  if (outcome.result === 'unknown' && facts.unknownOutcome === 'hold') return { state: 'unknown', ...common };
  return { state: 'deferred', ...common, nextAttemptAt };
}

const BOUNCE_PHASES: Partial<Record<AttemptPhase, BounceFacts['phase']>> = {
  connect: 'connect',
  greeting: 'connect',
  ehlo: 'ehlo',
  mail: 'mail',
  rcpt: 'rcpt',
  data: 'data',
  dot: 'data',
};

/** @returns why a remote refused for good, and whether its address is not to be written to again. */
function verdictOn(reply: Reply, phase: AttemptPhase | undefined): Pick<RecipientStatus, 'cause' | 'hard'> {
  const { cause, hard } = classifyBounce({ ...reply, phase: phase && BOUNCE_PHASES[phase] });
  return { cause, ...(hard ? { hard } : {}) };
}
