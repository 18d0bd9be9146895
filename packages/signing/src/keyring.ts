import { type DkimDomain, type DkimSettings, type PrivateKey, readPrivateKey } from '@waypost/config';
import { type MailResolver, ResolveError } from '@waypost/dns';
import { matchDomain } from '@waypost/mail';
import type { DkimKey } from './dkim.js';
import { recordName, recordProblems } from './record.js';

/** What of a message says who signs it. Domains in lower case as A-labels; '' where there is none. */
export interface SenderFacts {
  /** Of the first author of the From field. */
  readonly author: string;
  /** Of the reverse-path. */
  readonly sender: string;
  readonly tenant: string | undefined;
}

export interface ChosenKeys {
  readonly keys: readonly DkimKey[];
  /** Why a domain that ought to sign has no key to do it with. */
  readonly lacking?: string;
}

type KeySettings = DkimDomain['keys'][number];

export interface KeyringDeps {
  readonly settings: () => DkimSettings;
  readonly resolver: Pick<MailResolver, 'resolveTxt'>;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

/** Chooses the keys that sign a message. */
export class Keyring {
  /** Keys as they were read; those of a configuration that is no more go with it. */
  readonly #read = new WeakMap<KeySettings, PrivateKey>();

  constructor(private readonly deps: KeyringDeps) {}

  /** @returns the keys of the entries for the author's domain; where none matches, of those for the sender's. */
  async keysFor(facts: SenderFacts): Promise<ChosenKeys> {
    for (const domain of [facts.author, facts.sender]) {
      if (domain === '') continue;
      const entries = this.#entriesFor(domain, facts.tenant);
      if (entries.length === 0) continue;
      const chosen = await Promise.all(entries.map((entry) => this.#active(entry, entry.domain ?? domain)));
      const lacking = chosen.find((one) => one.lacking !== undefined)?.lacking;
      return { keys: chosen.flatMap(({ keys }) => keys), ...(lacking === undefined ? {} : { lacking }) };
    }
    return { keys: [] };
  }

  /** Up to the first one that does not let others follow. */
  #entriesFor(domain: string, tenant: string | undefined): DkimDomain[] {
    const matching = this.deps
      .settings()
      .domains.filter((entry) => matchDomain(entry.match, domain) && (entry.tenant ?? tenant) === tenant);
    const last = matching.findIndex((entry) => !entry.continue);
    return last < 0 ? matching : matching.slice(0, last + 1);
  }

  async #active(entry: DkimDomain, domain: string): Promise<ChosenKeys> {
    const now = (this.deps.now ?? Date.now)();
    const timely = entry.keys.filter(({ from = 0, until = Infinity }) => from <= now && now < until);
    const ready: KeySettings[] = [];
    for (const key of timely) if (await this.#isReady(key, domain)) ready.push(key);
    const keys = ready.filter(({ selector }) => !ready.some((other) => other.replaces === selector));
    if (keys.length > 0) return { keys: keys.map((key) => this.#toKey(key, domain)) };
    // Before the first key's time the domain does not sign yet; after that it has to.
    if (entry.keys.every(({ from = 0 }) => from > now)) return { keys: [] };
    return { keys: [], lacking: `no key of ${domain} is within its time and, where it replaces another, seen in DNS` };
  }

  /** A key that takes over from another does so when its record is there, as mail in transit is verified for days. */
  async #isReady(key: KeySettings, domain: string): Promise<boolean> {
    if (key.replaces === undefined || !key.wait_for_dns) return true;
    try {
      const texts = await this.deps.resolver.resolveTxt(recordName(key.selector, domain));
      return recordProblems(texts, this.#privateKey(key)).length === 0;
    } catch (error) {
      if (error instanceof ResolveError) return false;
      throw error;
    }
  }

  #toKey(key: KeySettings, domain: string): DkimKey {
    return { ...this.#privateKey(key), domain, selector: key.selector };
  }

  #privateKey(settings: KeySettings): PrivateKey {
    const known = this.#read.get(settings);
    if (known) return known;
    const key = readPrivateKey(settings.key);
    this.#read.set(settings, key);
    return key;
  }
}
