import { type Loaded, TtlCache } from './cache.js';
import { ResolveError } from './errors.js';
import type { Candidate, HostAddress, MxHost } from './hosts.js';
import type { AddressRecord, DnsLookup, TlsaRecord } from './lookup.js';
import { literalAddress, toAsciiDomain } from './names.js';
import { orderAddresses, orderHosts, shuffle, withoutSelf } from './order.js';
import { RecordCache, type RecordKind, type RecordKinds } from './records.js';
import { DEFAULTS, type ResolverSettings } from './settings.js';

export interface ResolverDeps {
  readonly lookup: DnsLookup;
  /** From 0 to 1. */
  readonly random?: () => number;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** Whether a host name is ours, so that mail does not circle between MX hosts. */
  readonly isSelf?: (host: string) => boolean;
}

type Answer<T> = readonly T[] | ResolveError;

/** Finds where mail for a domain goes, with a cache of its own. Every failure is a ResolveError. */
export class MailResolver {
  readonly #deps: Required<ResolverDeps>;
  readonly #settings: Required<ResolverSettings>;
  readonly #mx: TtlCache<Answer<MxHost>>;
  readonly #addresses: TtlCache<Answer<HostAddress>>;
  readonly #txt: TtlCache<Answer<string>>;
  readonly #tlsa: TtlCache<Answer<TlsaRecord>>;
  readonly #records: RecordCache;

  constructor(deps: ResolverDeps, settings: ResolverSettings = {}) {
    this.#deps = { random: Math.random, now: Date.now, isSelf: () => false, ...deps };
    this.#settings = { ...DEFAULTS, ...settings };
    const cache = { size: this.#settings.cacheSize, staleFor: this.#settings.staleFor };
    this.#mx = new TtlCache(cache, this.#deps.now);
    this.#addresses = new TtlCache(cache, this.#deps.now);
    this.#txt = new TtlCache(cache, this.#deps.now);
    // A stale key would keep out a host that has a new one.
    this.#tlsa = new TtlCache({ ...cache, staleFor: 0 }, this.#deps.now);
    const { mxTtl, negativeTtl, failureTtl, maxTtl } = this.#settings;
    this.#records = new RecordCache(
      { lookup: this.#deps.lookup, now: this.#deps.now, ask: (question) => this.#ask(question) },
      { ...cache, ttl: mxTtl, negativeTtl, failureTtl, maxTtl },
    );
  }

  /**
   * Finds the MX hosts of a domain (RFC 5321 §5.1): by preference, equal ones shuffled anew at each call, without those
   * that are not better than ourselves.
   * @param domain ASCII or international, or an address literal.
   * @throws ResolveError 556 5.1.10 for a null MX (RFC 7505), 550 5.4.4 for what does not exist, 550 5.1.2 for what is
   *   no domain, 554 5.4.6 when we are the best MX, 451 4.4.3 when DNS fails for now.
   */
  async resolveMx(domain: string): Promise<MxHost[]> {
    if (domain.startsWith('[') && literalAddress(domain)) return [{ name: domain, preference: 0, implicit: true }];
    const name = toAsciiDomain(domain);
    if (name === undefined)
      throw new ResolveError('bad-name', `${shown(domain)} is not a domain that mail can be sent to`);
    const hosts = unwrap(await this.#mx.get(name, () => this.#loadMx(name)));
    const others = withoutSelf(hosts, this.#deps.isSelf);
    if (others.length === 0)
      throw new ResolveError('loop', `mail for ${name} loops back to this server, its best mail exchanger`);
    return orderHosts(others, this.#deps.random);
  }

  /**
   * @param host an MX host's name or a literal.
   * @returns its addresses in the family preferred first, at least one.
   * @throws ResolveError
   */
  async resolveAddresses(host: string): Promise<HostAddress[]> {
    const literal = literalAddress(host);
    if (literal) return this.#ordered([literal], host);
    const name = toAsciiDomain(host);
    if (name === undefined) throw new ResolveError('bad-name', `${shown(host)} is not a host name`);
    return this.#ordered(unwrap(await this.#addresses.get(name, () => this.#loadAddresses(name))), name);
  }

  /**
   * Finds a host that an operator named, such as a smart host: literals, the system's hosts file and search domains,
   * DNS. That it does not exist is temporary, as its name can be mended while the mail waits.
   * @throws ResolveError, only `temporary`.
   */
  async resolveHost(host: string): Promise<HostAddress[]> {
    const literal = literalAddress(host);
    if (literal) return [literal];
    try {
      if (this.#settings.dnsFirst && host.includes('.')) return await this.resolveAddresses(host);
    } catch (error) {
      if (!(error instanceof ResolveError) || !error.permanent) throw error;
    }
    return this.#ordered(
      unwrap(await this.#addresses.get(`system:${host}`, () => this.#loadSystem(host))),
      host,
      'temporary',
    );
  }

  /**
   * Goes through the addresses for a domain in the order to try them, looking up each host only when its turn comes.
   * @throws ResolveError before the first one, when there is none.
   */
  async *candidates(domain: string): AsyncGenerator<Candidate, void> {
    let given = 0;
    let failure: ResolveError | undefined;
    for (const host of await this.resolveMx(domain)) {
      const addresses = await this.resolveAddresses(host.name).catch((error: unknown) => {
        if (!(error instanceof ResolveError)) throw error;
        failure = failure && !failure.permanent ? failure : error;
        return [];
      });
      for (const address of addresses) {
        if (given >= this.#settings.maxCandidates) return;
        given += 1;
        const { secure: secureAddress = false, ...at } = address;
        yield { ...host, ...at, secureAddress };
      }
    }
    if (given === 0 && failure) throw failure;
  }

  /**
   * @returns the texts of a name's TXT records; none where there are none.
   * @throws ResolveError, only `temporary`.
   */
  async resolveTxt(name: string): Promise<readonly string[]> {
    return unwrap(await this.#txt.get(name, () => this.#loadAny(name, 'TXT', () => this.#deps.lookup.txt(name))));
  }

  /**
   * Looks up records as they are, of names that mail from outside gives us.
   * @throws Error with a `code`: ENOTFOUND where the name does not exist, ENODATA where it has none, others for now.
   */
  records<K extends RecordKind>(name: string, kind: K): Promise<readonly RecordKinds[K][]> {
    return this.#records.get(name, kind);
  }

  /** Whether TLSA records can be had, with DNSSEC vouching for them. */
  get validates(): boolean {
    return this.#deps.lookup.tlsa !== undefined;
  }

  /**
   * @param name such as `_25._tcp.mx.example.org`.
   * @returns its TLSA records for which DNSSEC vouches; none where there are none.
   * @throws ResolveError, only `temporary`: as where an answer's signatures are wrong.
   */
  async resolveTlsa(name: string): Promise<readonly TlsaRecord[]> {
    const { lookup } = this.#deps;
    if (!lookup.tlsa) return [];
    const load = () => this.#loadAny(name, 'TLSA', () => lookup.tlsa?.(name) ?? Promise.resolve([]));
    return unwrap(await this.#tlsa.get(name, load)).filter(({ secure }) => secure);
  }

  async #loadAny<T>(name: string, type: string, question: () => Promise<readonly T[]>): Promise<Loaded<Answer<T>>> {
    const { records, code = 'ENODATA', ttl } = await this.#ask(question);
    if (records) return { value: records, ttl: this.#held(records) };
    return isAbsent(code) ? { value: [], ttl: this.#bounded(ttl) } : this.#failure(name, type, code);
  }

  #ordered(found: readonly HostAddress[], host: string, kind: 'not-found' | 'temporary' = 'not-found'): HostAddress[] {
    const { family, prefer } = this.#settings;
    const usable = orderAddresses(shuffle(found, this.#deps.random), family, prefer);
    if (usable.length === 0)
      throw new ResolveError(kind, `${shown(host)} has no ${family === 'any' ? 'IP' : family} address`);
    return usable;
  }

  async #loadMx(name: string): Promise<Loaded<Answer<MxHost>>> {
    const found = await this.#ask(() => this.#deps.lookup.mx(name));
    if (found.code === 'ENODATA') {
      const vouched = found.secure ? { secure: true } : {};
      const ttl = this.#bounded(found.ttl, this.#settings.mxTtl);
      return { value: [{ name, preference: 0, implicit: true, ...vouched }], ttl };
    }
    if (!found.records) return this.#failure(name, 'MX', found.code, found.ttl);
    const held = this.#held(found.records);
    const named = found.records.filter(({ exchange }) => exchange !== '' && exchange !== '.');
    if (named.length === 0) {
      return { value: new ResolveError('null-mx', `${name} takes no mail: its MX record is null`), ttl: held };
    }
    const hosts = named.flatMap(({ exchange, priority, secure }) => {
      const host = toAsciiDomain(exchange);
      const vouched = secure ? { secure } : {};
      return host === undefined ? [] : [{ name: host, preference: priority, implicit: false, ...vouched }];
    });
    if (hosts.length > 0) return { value: hosts, ttl: held };
    return { value: new ResolveError('not-found', `the MX records of ${name} name no valid host`), ttl: held };
  }

  async #loadAddresses(name: string): Promise<Loaded<Answer<HostAddress>>> {
    const { family } = this.#settings;
    const [four, six] = await Promise.all([
      family === 'ipv6' ? NONE : this.#ask(() => this.#deps.lookup.a(name)),
      family === 'ipv4' ? NONE : this.#ask(() => this.#deps.lookup.aaaa(name)),
    ]);
    const records = [...tagged(four.records, 4), ...tagged(six.records, 6)];
    if (records.length > 0) {
      return {
        value: records.map(({ address, family, secure }) => ({ address, family, ...(secure ? { secure } : {}) })),
        ttl: this.#held(records),
      };
    }
    const failed = [four, six].find(({ code }) => code !== undefined && !isAbsent(code));
    // Where one is missing for longer than the other, both are asked for again after the shorter time.
    const absent = Math.min(four.ttl ?? Number.POSITIVE_INFINITY, six.ttl ?? Number.POSITIVE_INFINITY);
    const ttl = Number.isFinite(absent) ? absent : undefined;
    return this.#failure(name, 'A and AAAA', failed?.code ?? four.code ?? six.code, ttl);
  }

  async #loadSystem(host: string): Promise<Loaded<Answer<HostAddress>>> {
    const { failureTtl } = this.#settings;
    const found = await this.#ask(() => this.#deps.lookup.system(host));
    if (found.records) {
      const value = found.records.map(({ address, family }) => ({
        address,
        family: family === 6 ? (6 as const) : (4 as const),
      }));
      return { value, ttl: SYSTEM_TTL };
    }
    const text = `host ${shown(host)} cannot be resolved (${found.code}); check its name in the configuration`;
    return { value: new ResolveError('temporary', text), ttl: failureTtl, failed: true };
  }

  /** @returns how long records hold, ms: as long as the first of them. */
  #held(records: readonly unknown[]): number {
    const ttls = records.map((record) => (record as { readonly ttl?: number }).ttl ?? Number.POSITIVE_INFINITY);
    const least = Math.min(...ttls);
    return this.#bounded(Number.isFinite(least) ? least : undefined, this.#settings.mxTtl);
  }

  /** @param ttl seconds, where it is known. @returns ms. */
  #bounded(ttl: number | undefined, otherwise = this.#settings.negativeTtl): number {
    const { minTtl, maxTtl } = this.#settings;
    return ttl === undefined ? otherwise : Math.min(maxTtl, Math.max(minTtl, ttl * 1000));
  }

  #failure<T>(name: string, type: string, code = 'ENODATA', ttl?: number): Loaded<Answer<T>> {
    if (isAbsent(code)) {
      const why = code === 'ENOTFOUND' ? 'the domain does not exist' : 'it has no such record';
      const value = new ResolveError('not-found', `no mail host found for ${name} (${type}): ${why}`);
      return { value, ttl: this.#bounded(ttl) };
    }
    const value = new ResolveError('temporary', `DNS gave no answer for ${name} (${type}): ${code}; tried again later`);
    return { value, ttl: this.#settings.failureTtl, failed: true };
  }

  /** @returns what was found or the code of why not; never rejects, and never takes longer than the timeout. */
  async #ask<T>(question: () => Promise<readonly T[]>): Promise<Asked<T>> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<Asked<T>>((resolve) => {
      timer = setTimeout(() => resolve({ code: 'ETIMEOUT' }), this.#settings.timeout);
    });
    const answer = Promise.resolve()
      .then(question)
      .then(
        (records) => (records.length > 0 ? { records } : { code: 'ENODATA' }),
        (error: NodeJS.ErrnoException & { readonly secure?: boolean; readonly ttl?: number }) => ({
          code: error.code ?? error.message,
          ...(error.ttl === undefined ? {} : { ttl: error.ttl }),
          ...(error.secure ? { secure: true } : {}),
        }),
      );
    return Promise.race([answer, late]).finally(() => clearTimeout(timer));
  }
}

interface Asked<T> {
  readonly records?: readonly T[];
  /** Why there are none. */
  readonly code?: string;
  /** DNSSEC vouches for there being none. */
  readonly secure?: boolean;
  /** Seconds for which there is none. */
  readonly ttl?: number;
}

const SYSTEM_TTL = 10_000;
const NONE: Asked<AddressRecord> = {};
const isAbsent = (code: string) => code === 'ENOTFOUND' || code === 'ENODATA';
const shown = (name: string) => name.replace(/[^\x21-\x7e\u00a0-\uffff]/g, '?').slice(0, 255);
const tagged = (records: readonly AddressRecord[] | undefined, family: 4 | 6) =>
  (records ?? []).map((record) => ({ ...record, family }));

function unwrap<T>(answer: Answer<T>): readonly T[] {
  if (answer instanceof ResolveError) throw answer;
  return answer;
}
