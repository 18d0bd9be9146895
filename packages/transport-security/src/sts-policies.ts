import type { MailResolver } from '@waypost/dns';
import type { Executor } from '@waypost/redis';
import { parseStsRecord, type StsPolicy } from './mta-sts.js';
import { fetchStsPolicy, stsFailure } from './sts-fetch.js';
import type { TlsFailure } from './tls-session.js';

export interface StsPoliciesDeps {
  readonly resolver: MailResolver;
  /** Where the policies are kept for all replicas. */
  readonly executor: Executor;
  readonly port: () => number;
  /** Told of a policy that could not be fetched; an older one may be in force still. */
  readonly onError?: (error: Error, domain: string) => void;
}

/** What is known of a domain's policy. */
export interface StsFinding {
  /** In force. */
  readonly policy?: StsPolicy;
  /** Why the one that its record announces could not be had. */
  readonly failure?: TlsFailure;
}

/** A policy as it is kept. */
interface KnownPolicy {
  readonly policy: StsPolicy;
  /** ms since the epoch. */
  readonly expires: number;
}

interface Looked {
  readonly known?: KnownPolicy | undefined;
  readonly failure?: TlsFailure;
}

interface Kept extends KnownPolicy {
  readonly id: string;
  readonly fetchedAt: number;
}

/** How long this process goes by what it knows, ms; a fetch that failed is not tried again before (RFC 8461 §3.3). */
const LOOK_AGAIN = 300_000;
/** A policy is fetched anew this long after, though its id is the same, so that it never runs out, ms. */
const REFRESH = 86_400_000;
const KNOWN = 20_000;
const KEY = 'wp:sts:';

/**
 * The MTA-STS policies of recipient domains (RFC 8461): kept in Redis until `max_age`, so that neither a restart nor an
 * attacker between us and DNS makes us forget one.
 */
export class StsPolicies {
  readonly #known = new Map<string, { readonly until: number; readonly found: Promise<Looked> }>();

  constructor(private readonly deps: StsPoliciesDeps) {}

  /** @returns the policy in force for a domain (A-labels), if there is one; never rejects but for Redis. */
  async find(domain: string): Promise<StsFinding> {
    const now = Date.now();
    let entry = this.#known.get(domain);
    if (!entry || entry.until <= now) {
      entry = { until: now + LOOK_AGAIN, found: this.#look(domain) };
      this.#remember(domain, entry);
      entry.found.catch(() => this.#known.delete(domain));
    }
    const { known, failure } = await entry.found;
    const inForce = known && known.expires > now && known.policy.mode !== 'none';
    return { ...(inForce ? { policy: known.policy } : {}), ...(failure ? { failure } : {}) };
  }

  #remember(domain: string, entry: { until: number; found: Promise<Looked> }): void {
    this.#known.delete(domain);
    this.#known.set(domain, entry);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= KNOWN) break;
      this.#known.delete(oldest);
    }
  }

  async #look(domain: string): Promise<Looked> {
    const { resolver, executor } = this.deps;
    const [texts, [json]] = await Promise.all([
      resolver.resolveTxt(`_mta-sts.${domain}`).catch(() => undefined),
      executor.exec([{ name: 'get', args: [KEY + domain] }]) as Promise<[string | null]>,
    ]);
    const kept = json ? (JSON.parse(json) as Kept) : undefined;
    const id = texts && parseStsRecord(texts);
    // No record, or none that could be had: what is kept stays in force (RFC 8461 §5.1).
    if (!id || (kept?.id === id && Date.now() - kept.fetchedAt < REFRESH)) return { known: kept };
    return { known: kept, ...(await this.#fetch(domain, id)) };
  }

  async #fetch(domain: string, id: string): Promise<Looked> {
    const { resolver, executor, port, onError } = this.deps;
    let policy: StsPolicy;
    try {
      policy = await fetchStsPolicy(domain, { resolver, port: port() });
    } catch (error) {
      onError?.(error as Error, domain);
      return { failure: stsFailure(error as Error) };
    }
    const now = Date.now();
    const life = Math.max(1, policy.maxAge) * 1000;
    const kept: Kept = { id, policy, fetchedAt: now, expires: now + life };
    await executor.exec([{ name: 'set', args: [KEY + domain, JSON.stringify(kept), 'PX', life] }]);
    return { known: kept };
  }
}
