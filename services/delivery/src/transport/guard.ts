import type { TLSSocket } from 'node:tls';
import type { Config } from '@waypost/config';
import { type Candidate, type MailResolver, ResolveError, toAsciiDomain } from '@waypost/dns';
import { classifyFailure, type LaneJob, SmtpError } from '@waypost/mail';
import { type Hop, HopError, type TlsMode } from '@waypost/smtp';
import {
  allowsMx,
  checkDane,
  type StsFinding,
  type StsPolicies,
  stsStrings,
  type TlsFailure,
  type TlsPolicy,
  tlsaStrings,
  usableTlsa,
} from '@waypost/transport-security';

/** A policy that a mail exchanger is under, and what is wrong with it before anybody connects. */
export interface Judged {
  readonly policy: TlsPolicy;
  readonly failure?: TlsFailure;
}

/** What a connection to a mail exchanger has to show, beside what the route asks for. */
export interface Guard extends Pick<Hop, 'tls' | 'authenticate'> {
  /** dane: authenticated by TLSA · sts: certificate and name verified, as a policy or the sender asks · none: whatever there is. */
  readonly kind: 'dane' | 'sts' | 'none';
  /** What reports to the domain say of connections; absent where nobody asked for TLS. */
  readonly judged?: Judged;
}

/** A policy forbids a mail exchanger. */
export class GuardError extends HopError {
  constructor(
    { phase, outcome, cause }: HopError,
    readonly judged: Judged,
  ) {
    super(phase, outcome, cause);
  }
}

/** What a job asks of its connection before it is known which host it leads to. */
export interface Demand {
  readonly domain: string;
  /** What the route or the shaping rules ask. */
  readonly tls: TlsMode;
  readonly requireTls: boolean;
  /** The mail is to arrive whatever the domain's policies say. */
  readonly relaxed: boolean;
  /** MTA-STS of the domain. */
  readonly sts: StsFinding;
}

export interface GuardDeps {
  readonly resolver: MailResolver;
  readonly sts: StsPolicies;
  readonly config: () => Config;
}

/** Finds out what mail exchangers must show: by DANE (RFC 7672), MTA-STS (RFC 8461) and REQUIRETLS (RFC 8689). */
export class TransportGuards {
  constructor(private readonly deps: GuardDeps) {}

  async demand(job: LaneJob, domain: string, tls: TlsMode): Promise<Demand> {
    const requireTls = job.requireTls === true;
    const relaxed = job.tlsOptional === true && !requireTls;
    // An operator who turns TLS off for a domain has the last word, except over the sender.
    const asked = this.deps.config().delivery.mta_sts && (tls !== 'none' || requireTls) && !relaxed;
    const name = toAsciiDomain(domain);
    return { domain, tls, requireTls, relaxed, sts: asked && name ? await this.deps.sts.find(name) : {} };
  }

  /**
   * @returns what one mail exchanger has to show.
   * @throws HopError where it must not have the mail now; SmtpError 5.7.30 where no exchanger of the domain may ever.
   */
  async guard(candidate: Candidate, demand: Demand): Promise<Guard> {
    const { sts, tls, requireTls, relaxed } = demand;
    if (relaxed || (tls === 'none' && !requireTls)) return { kind: 'none', tls };
    const dane = await this.#dane(candidate, demand);
    const { policy } = sts;
    // Records that authenticate nobody take nothing from what the route, the sender or MTA-STS ask for.
    if (dane && (dane.kind === 'dane' || (tls !== 'verify' && !requireTls && policy?.mode !== 'enforce'))) return dane;
    const enforced = policy?.mode === 'enforce';
    const allowed = policy === undefined || allowsMx(policy, candidate.name);
    const judged = (enforced ? undefined : dane?.judged) ?? judgeBySts(demand, allowed);
    if (enforced && !allowed)
      throw refused(candidate, 'it is not among the hosts of the MTA-STS policy', undefined, judged);
    if (requireTls && !candidate.secure && !(enforced && allowed)) {
      const text = `REQUIRETLS: neither DNSSEC nor MTA-STS vouches for the mail exchangers of ${demand.domain}`;
      throw new SmtpError(550, '5.7.30', text);
    }
    if (enforced || requireTls) return { kind: 'sts', tls: 'verify', judged };
    return { kind: 'none', tls, judged };
  }

  /** TLSA records count where DNSSEC vouches for all the way to them (RFC 7672 §2.2). */
  async #dane(candidate: Candidate, { domain }: Demand): Promise<Guard | undefined> {
    const { resolver, config } = this.deps;
    if (!resolver.validates || !candidate.secure || !candidate.secureAddress) return undefined;
    const policy = { type: 'tlsa', domain: candidate.name } as const;
    const records = await resolver
      .resolveTlsa(`_${config().delivery.mx_port}._tcp.${candidate.name}`)
      .catch((error) => {
        if (!(error instanceof ResolveError)) throw error;
        const failure: TlsFailure = { type: 'dnssec-invalid', reason: error.message };
        // Who can break the answer must not thereby turn DANE off (RFC 7672 §2.1.1).
        throw refused(candidate, 'its TLSA records cannot be had or are not validly signed', error, {
          policy,
          failure,
        });
      });
    if (records.length === 0) return undefined;
    const usable = usableTlsa(records);
    const found = { ...policy, strings: tlsaStrings(records) };
    if (usable.length === 0) {
      const failure: TlsFailure = { type: 'tlsa-invalid', reason: 'none of the TLSA records can be used' };
      // Records that cannot be used demand TLS all the same, with nobody authenticated (RFC 7672 §2.2).
      return { kind: 'none', tls: 'required', judged: { policy: found, failure } };
    }
    const names = [candidate.name, domain];
    const authenticate = (socket: TLSSocket) => checkDane(socket, usable, names);
    return { kind: 'dane', tls: 'required', authenticate, judged: { policy: found } };
  }
}

function judgeBySts({ domain, sts: { policy, failure } }: Demand, allowed: boolean): Judged {
  const name = toAsciiDomain(domain) ?? domain;
  if (!policy && !failure) return { policy: { type: 'no-policy-found', domain: name } };
  const lines = policy ? { strings: stsStrings(policy), mxHosts: policy.mx } : {};
  const wrong: TlsFailure = { type: 'validation-failure', reason: 'the host is not among those of the policy' };
  const first = failure ?? (allowed ? undefined : wrong);
  return { policy: { type: 'sts', domain: name, ...lines }, ...(first ? { failure: first } : {}) };
}

/** Whether a connection made under `guard` to `host` will do for another demand. */
export function covers(guard: Guard, host: string, made: Demand, wanted: Demand): boolean {
  if (made.tls !== wanted.tls || made.requireTls !== wanted.requireTls) return false;
  if (wanted.relaxed || made.relaxed) return wanted.relaxed;
  if (made.domain === wanted.domain) return true;
  if (wanted.requireTls) return false;
  const { policy } = wanted.sts;
  if (policy?.mode === 'enforce') return guard.kind !== 'none' && allowsMx(policy, host);
  return guard.kind !== 'none';
}

function refused({ name, address }: Candidate, why: string, cause: unknown, judged: Judged): GuardError {
  const outcome = classifyFailure('starttls', { message: why }, `${name} [${address}]`);
  const reply = { ...outcome.reply, enhanced: '4.7.5', text: `${name} [${address}]: ${why}` };
  return new GuardError(new HopError('starttls', { ...outcome, reply }, cause), judged);
}
