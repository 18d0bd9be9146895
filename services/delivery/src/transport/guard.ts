import type { TLSSocket } from 'node:tls';
import type { Config } from '@waypost/config';
import { type Candidate, type MailResolver, ResolveError, toAsciiDomain } from '@waypost/dns';
import { classifyFailure, type LaneJob, SmtpError } from '@waypost/mail';
import { type Hop, HopError, type TlsMode } from '@waypost/smtp';
import { allowsMx, checkDane, type StsPolicies, type StsPolicy, usableTlsa } from '@waypost/transport-security';

/** What a connection to a mail exchanger has to show, beside what the route asks for. */
export interface Guard extends Pick<Hop, 'tls' | 'authenticate'> {
  /** dane: authenticated by TLSA · sts: certificate and name verified, as a policy or the sender asks · none: whatever there is. */
  readonly kind: 'dane' | 'sts' | 'none';
}

/** What a job asks of its connection before it is known which host it leads to. */
export interface Demand {
  readonly domain: string;
  /** What the route or the shaping rules ask. */
  readonly tls: TlsMode;
  readonly requireTls: boolean;
  /** MTA-STS in force for the domain. */
  readonly sts: StsPolicy | undefined;
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
    // An operator who turns TLS off for a domain has the last word, except over the sender.
    const asked = this.deps.config().delivery.mta_sts && (tls !== 'none' || requireTls);
    const name = toAsciiDomain(domain);
    return { domain, tls, requireTls, sts: asked && name ? await this.deps.sts.find(name) : undefined };
  }

  /**
   * @returns what one mail exchanger has to show.
   * @throws HopError where it must not have the mail now; SmtpError 5.7.30 where no exchanger of the domain may ever.
   */
  async guard(candidate: Candidate, demand: Demand): Promise<Guard> {
    const { sts, tls, requireTls } = demand;
    const dane = tls === 'none' && !requireTls ? undefined : await this.#dane(candidate, demand);
    if (dane) return dane;
    const allowed = sts === undefined || allowsMx(sts, candidate.name);
    if (sts?.mode === 'enforce' && !allowed)
      throw refused(candidate, 'it is not among the hosts of the MTA-STS policy');
    if (requireTls && !candidate.secure && !(sts?.mode === 'enforce' && allowed)) {
      const text = `REQUIRETLS: neither DNSSEC nor MTA-STS vouches for the mail exchangers of ${demand.domain}`;
      throw new SmtpError(550, '5.7.30', text);
    }
    if (sts?.mode === 'enforce' || requireTls) return { kind: 'sts', tls: 'verify' };
    return { kind: 'none', tls };
  }

  /** TLSA records count where DNSSEC vouches for all the way to them (RFC 7672 §2.2). */
  async #dane(candidate: Candidate, { domain }: Demand): Promise<Guard | undefined> {
    const { resolver, config } = this.deps;
    if (!resolver.validates || !candidate.secure || !candidate.secureAddress) return undefined;
    const records = await resolver
      .resolveTlsa(`_${config().delivery.mx_port}._tcp.${candidate.name}`)
      .catch((error) => {
        if (!(error instanceof ResolveError)) throw error;
        // Who can break the answer must not thereby turn DANE off (RFC 7672 §2.1.1).
        throw refused(candidate, 'its TLSA records cannot be had or are not validly signed', error);
      });
    if (records.length === 0) return undefined;
    const usable = usableTlsa(records);
    // Records that cannot be used demand TLS all the same, with nobody authenticated (RFC 7672 §2.2).
    if (usable.length === 0) return { kind: 'none', tls: 'required' };
    const names = [candidate.name, domain];
    const authenticate = (socket: TLSSocket) => checkDane(socket, usable, names);
    return { kind: 'dane', tls: 'required', authenticate };
  }
}

/** Whether a connection made under `guard` to `host` will do for another demand. */
export function covers(guard: Guard, host: string, made: Demand, wanted: Demand): boolean {
  if (made.tls !== wanted.tls || made.requireTls !== wanted.requireTls) return false;
  if (made.domain === wanted.domain) return true;
  if (wanted.requireTls) return false;
  if (wanted.sts?.mode === 'enforce') return guard.kind !== 'none' && allowsMx(wanted.sts, host);
  return guard.kind !== 'none';
}

function refused({ name, address }: Candidate, why: string, cause?: unknown): HopError {
  const outcome = classifyFailure('starttls', { message: why }, `${name} [${address}]`);
  const reply = { ...outcome.reply, enhanced: '4.7.5', text: `${name} [${address}]: ${why}` };
  return new HopError('starttls', { ...outcome, reply }, cause);
}
