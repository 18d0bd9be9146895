/** Times in ms; every one has a default. */
export interface ResolverSettings {
  /** Which addresses are used. */
  readonly family?: 'any' | 'ipv4' | 'ipv6';
  /** Which of both comes first. IPv4 by default: containers often have no IPv6 route. */
  readonly prefer?: 4 | 6;
  /** For one question, all tries at all servers included. */
  readonly timeout?: number;
  /** How long MX and other answers hold whose TTL is not known: Node does not tell it. */
  readonly mxTtl?: number;
  /** Bounds for TTLs, also of what does not exist (RFC 2308 §5 finds one to three hours to work well at most). */
  readonly minTtl?: number;
  readonly maxTtl?: number;
  /** How long it is remembered that a name or record does not exist where the answer does not say (RFC 2308). */
  readonly negativeTtl?: number;
  /** How long a failing server is not asked the same again. */
  readonly failureTtl?: number;
  /** How long past their time good answers serve while the server fails (RFC 8767). */
  readonly staleFor?: number;
  /** Entries in each cache. */
  readonly cacheSize?: number;
  /** Addresses that one attempt may go through for a domain. */
  readonly maxCandidates?: number;
  /**
   * Hosts that an operator names are asked of DNS first, and then of the system: set where own name servers are given.
   */
  readonly dnsFirst?: boolean;
}

export const DEFAULTS: Required<ResolverSettings> = {
  family: 'any',
  prefer: 4,
  timeout: 10_000,
  mxTtl: 300_000,
  minTtl: 5_000,
  maxTtl: 3_600_000,
  negativeTtl: 60_000,
  failureTtl: 5_000,
  staleFor: 3_600_000,
  cacheSize: 10_000,
  maxCandidates: 12,
  dnsFirst: false,
};
