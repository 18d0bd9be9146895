import type { AbuseConfig } from '@waypost/config';
import type { Executor } from '@waypost/redis';
import { lastOf } from '../last-of.js';
import { Counts, type Take } from './counts.js';
import { type Charge, LimitedError, LimitRules, type Usage } from './usage.js';

/** A transaction under limits. */
export interface Metered {
  /** One more recipient. @throws LimitedError */
  recipient(domain: string): Promise<void>;
  /** The message was accepted with so many octets: what it used is counted. */
  accepted(octets: number): void;
  /** It came to nothing: what was taken is given back. Does nothing once it was accepted. */
  abandoned(): void;
}

/** All of a message at once, as it comes over HTTP. */
export interface WholeUsage extends Usage {
  readonly octets: number;
  /** The recipients' domains, one a recipient. */
  readonly domains: readonly string[];
}

/** What is known of a recipient domain's count is good for this long, ms. */
const FRESH = 1000;

/**
 * Limits on mail by who sends it and where it goes. A transaction costs one script where a limit holds for it, and nothing
 * where none does: the message is taken when it begins, its recipients are held against what that said, and are told to
 * Redis a moment later together with others', as its octets are once it was accepted.
 */
export class Limiter {
  readonly #counts: Counts;
  readonly #rules = lastOf(
    ({ limits, bans }: AbuseConfig) => new LimitRules(limits, { ipv4: bans.ipv4_prefix, ipv6: bans.ipv6_prefix }),
  );

  /** @param settings read at each use. */
  constructor(
    executor: Executor,
    private readonly settings: () => AbuseConfig,
  ) {
    this.#counts = new Counts(executor);
  }

  /**
   * Begins a transaction at MAIL.
   * @param octets that the client announced; 0 where it did not.
   * @returns undefined where nothing limits it. @throws LimitedError (rejects)
   */
  begin(usage: Usage, octets: number): Promise<Metered> | undefined {
    const rules = this.#rules(this.settings());
    if (rules.size === 0) return undefined;
    const charges = rules.ofSender(usage);
    if (charges.length === 0 && !rules.hasDomains) return undefined;
    return this.#begin(usage, octets, charges, rules);
  }

  async #begin(usage: Usage, octets: number, charges: readonly Charge[], rules: LimitRules): Promise<Metered> {
    // One recipient and one octet at least: a transaction that could have neither is refused now.
    const taken = charges.map((charge) => ({ charge, amount: charge.measure === 'bytes' ? Math.max(1, octets) : 1 }));
    if (taken.length > 0) await this.#take(taken);
    return new MeteredTransaction(usage.kind, taken, rules, this.#counts);
  }

  /**
   * Takes whole messages, all or none. Costs one script where a limit holds for them.
   * @returns what gives them back where they come to nothing. @throws LimitedError
   */
  async whole(usages: readonly WholeUsage[]): Promise<() => void> {
    const rules = this.#rules(this.settings());
    if (rules.size === 0) return () => undefined;
    const sums = new Map<string, { charge: Charge; amount: number }>();
    const count = (charge: Charge, amount: number) => {
      const known = sums.get(charge.key);
      if (known) known.amount += amount;
      else sums.set(charge.key, { charge, amount });
    };
    for (const usage of usages) {
      for (const charge of rules.ofSender(usage)) count(charge, amountOf(charge, usage.octets, usage.domains.length));
      const perDomain = Map.groupBy(usage.domains, (domain) => domain);
      for (const [domain, list] of rules.hasDomains ? perDomain : []) {
        for (const charge of rules.ofDomain(usage.kind, domain))
          count(charge, amountOf(charge, usage.octets, list.length));
      }
    }
    const takes = [...sums.values()];
    if (takes.length > 0) await this.#take(takes);
    return () => {
      for (const { charge, amount } of takes) this.#counts.add(charge, -amount);
    };
  }

  /** Tells Redis what is counted and not yet told. */
  flush(): Promise<void> {
    return this.#counts.flush();
  }

  async #take(takes: readonly Take[]): Promise<void> {
    const { refused, wait } = await this.#counts.take(takes);
    if (refused) throw new LimitedError(refused, Math.max(1, Math.ceil(wait / 1000)));
  }
}

const amountOf = ({ measure }: Charge, octets: number, recipients: number) =>
  measure === 'messages' ? 1 : measure === 'recipients' ? recipients : octets;

class MeteredTransaction implements Metered {
  /** All that was counted for this transaction, by key. */
  readonly #used = new Map<string, { readonly charge: Charge; amount: number }>();
  readonly #domains = new Map<string, readonly Charge[]>();
  readonly #sender: readonly Charge[];
  #recipients = 0;
  #open = true;

  constructor(
    private readonly kind: Usage['kind'],
    taken: readonly Take[],
    private readonly rules: LimitRules,
    private readonly counts: Counts,
  ) {
    for (const { charge, amount } of taken) this.#used.set(charge.key, { charge, amount });
    this.#sender = taken.map(({ charge }) => charge);
  }

  async recipient(domain: string): Promise<void> {
    const first = !this.#domains.has(domain);
    const charges = this.#domains.get(domain) ?? this.rules.ofDomain(this.kind, domain);
    const due = [
      // The first recipient was taken with the message.
      ...(this.#recipients === 0 ? [] : this.#sender.filter(({ measure }) => measure === 'recipients')),
      ...charges.filter(({ measure }) => measure === 'recipients' || (first && measure === 'messages')),
    ];
    for (const charge of due) if ((await this.#roomOf(charge)) < 1) throw limited(charge);
    for (const charge of due) this.#use(charge, 1);
    this.#recipients += 1;
    this.#domains.set(domain, charges);
  }

  accepted(octets: number): void {
    if (!this.#open) return;
    for (const charge of [...this.#sender, ...[...this.#domains.values()].flat()]) {
      if (charge.measure === 'bytes') this.#use(charge, octets - (this.#used.get(charge.key)?.amount ?? 0));
    }
    this.#open = false;
  }

  abandoned(): void {
    if (!this.#open) return;
    this.#open = false;
    for (const { charge, amount } of this.#used.values()) this.counts.add(charge, -amount);
  }

  #use(charge: Charge, amount: number): void {
    this.counts.add(charge, amount);
    const used = this.#used.get(charge.key) ?? { charge, amount: 0 };
    used.amount += amount;
    this.#used.set(charge.key, used);
  }

  /** Of the sender's counts what the beginning was told still holds; a domain's is asked for when it is old. */
  async #roomOf(charge: Charge): Promise<number> {
    const known = this.counts.room(charge, charge.per === 'recipient_domain' ? FRESH : Number.POSITIVE_INFINITY);
    if (known !== undefined) return known;
    await this.counts.take([{ charge, amount: 0 }]);
    return this.counts.room(charge) ?? charge.rate.limit;
  }
}

const limited = (charge: Charge) => new LimitedError(charge, Math.max(1, Math.ceil(charge.rate.period / 10_000)));
