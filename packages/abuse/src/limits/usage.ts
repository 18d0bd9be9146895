import { type LimitRule, type LimitSubject, Networks, type Rate } from '@waypost/config';
import { domainOf, matchDomain } from '@waypost/mail';
import { type Prefixes, prefixOf } from '../ip.js';

/** Who sends, as far as it is known when a transaction begins. */
export interface Usage {
  readonly kind: 'submission' | 'relay' | 'mx' | 'http';
  readonly credential?: string | undefined;
  readonly tenant?: string | undefined;
  readonly address?: string | undefined;
  /** The reverse-path; '' is no sender and has no limit. */
  readonly sender: string;
}

export type Measure = 'messages' | 'recipients' | 'bytes';

/** One count that a rule limits. */
export interface Charge {
  /** What it is counted under: subject, measure and period. */
  readonly key: string;
  readonly per: LimitSubject;
  readonly measure: Measure;
  readonly rate: Rate;
}

/** The mail is more than a limit lets through now. */
export class LimitedError extends Error {
  /** @param retryAfter seconds. */
  constructor(
    readonly charge: Charge,
    readonly retryAfter: number,
  ) {
    super(`Too ${charge.measure === 'bytes' ? 'much mail' : `many ${charge.measure}`} ${TOWARDS[charge.per]}`);
    this.name = 'LimitedError';
  }
}

const TOWARDS: Record<LimitSubject, string> = {
  credential: 'with this credential',
  tenant: 'from this tenant',
  address: 'from your address',
  sender: 'from this sender',
  recipient_domain: 'to this domain',
};

/** The rules of a configuration, ready to be asked. Of those with the same `per` the first that fits decides. */
export class LimitRules {
  readonly #rules: readonly { readonly rule: LimitRule; readonly fits: (value: string) => boolean }[];
  readonly hasDomains: boolean;

  constructor(
    rules: readonly LimitRule[],
    private readonly prefixes: Prefixes,
  ) {
    this.#rules = rules.map((rule) => ({ rule, fits: matcher(rule) }));
    this.hasDomains = rules.some(({ per }) => per === 'recipient_domain');
  }

  get size(): number {
    return this.#rules.length;
  }

  /** @returns what limits who sends. */
  ofSender({ kind, credential, tenant, address, sender }: Usage): Charge[] {
    return [
      ...this.#charges('credential', kind, credential),
      ...this.#charges('tenant', kind, tenant),
      ...this.#charges('address', kind, address),
      ...this.#charges('sender', kind, sender === '' ? undefined : sender.toLowerCase()),
    ];
  }

  /** @returns what limits mail to a domain. */
  ofDomain(kind: Usage['kind'], domain: string): Charge[] {
    return this.hasDomains ? this.#charges('recipient_domain', kind, domain) : [];
  }

  #charges(per: LimitSubject, kind: Usage['kind'], value: string | undefined): Charge[] {
    if (!value) return [];
    const found = this.#rules.find(
      ({ rule, fits }) => rule.per === per && (rule.kinds.length === 0 || rule.kinds.includes(kind)) && fits(value),
    );
    if (!found) return [];
    const counted = per === 'address' ? prefixOf(value, this.prefixes) : value;
    const of = (measure: Measure) =>
      found.rule[measure].map((rate) => ({ key: `${per}:${counted}:${measure}:${rate.period}`, per, measure, rate }));
    return [...of('messages'), ...of('recipients'), ...of('bytes')];
  }
}

function matcher({ per, match }: LimitRule): (value: string) => boolean {
  if (match.length === 0) return () => true;
  if (per === 'address') {
    const networks = new Networks(match);
    return (value) => networks.has(value);
  }
  if (per === 'recipient_domain') return (value) => match.some((pattern) => matchDomain(pattern, value));
  if (per === 'sender') {
    return (value) =>
      match.some((pattern) =>
        pattern.includes('@') ? pattern.toLowerCase() === value : matchDomain(pattern, domainOf(value)),
      );
  }
  return (value) => match.includes(value);
}
