import { setTimeout as sleep } from 'node:timers/promises';
import type { Command, Executor } from '@waypost/redis';
import type { TlsSession } from '@waypost/transport-security';
import { noteDue } from '../ledger.js';
import { dayOf, dueAt, type ReportSubject } from '../subject.js';
import { parseTlsRptRecord } from './record.js';
import type { TlsFailureDetail } from './report.js';
import { countTls } from './store.js';

export interface TlsCollectorDeps {
  readonly executor: Executor;
  /** @returns the texts of a name's TXT records. */
  readonly resolveTxt: (name: string) => Promise<readonly string[]>;
  /** Whether reports go to a domain at all, and over how long they are spread, ms. */
  readonly settings: () => { readonly window: number; readonly goesTo: (domain: string) => boolean };
  readonly onError?: (error: Error) => void;
  /** ms since the epoch. */
  readonly now?: () => number;
}

/** What waits here goes to Redis this often, ms. */
const FLUSH_EVERY = 5_000;
/** Domains that wait at most, and kinds of failures for each; past that, sessions are not counted until the next flush. */
const DOMAINS = 5_000;
const DETAILS = 200;
/** How long it is known whether a domain wants reports, ms; where DNS had no answer, much less. */
const KNOWN_FOR = 900_000;
const UNKNOWN_FOR = 60_000;
const KNOWN = 50_000;
/** Questions to DNS at once, and domains written in one go. */
const AT_ONCE = 32;
const STOP_WITHIN = 3_000;

interface Counted {
  successes: number;
  readonly failures: Map<string, number>;
}

/**
 * Counts TLS sessions for reports (RFC 8460), of those domains alone that publish where they want them. A process gathers what
 * it sees and adds it to Redis every few seconds, all domains together, so that no message waits for it and none pays for it;
 * what a process that is killed has not yet written is missing from the report.
 */
export class TlsCollector {
  /** By day and domain, then by policy. */
  #waiting = new Map<string, Map<string, Counted>>();
  readonly #wanted = new Map<string, { readonly until: number; readonly wanted: boolean | undefined }>();
  readonly #stopped = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(private readonly deps: TlsCollectorDeps) {}

  start(): void {
    this.#running = this.#run();
  }

  /** Writes what waits; what DNS takes too long to tell of is given up. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    const last = this.#running.then(() => this.flush()).catch((error: Error) => this.deps.onError?.(error));
    await Promise.race([last, sleep(STOP_WITHIN, undefined, { ref: false })]);
  }

  note({ domain, policy, failure, ...where }: TlsSession): void {
    if (!this.deps.settings().goesTo(domain)) return;
    const counted = this.#countedOf(`${dayOf(this.#now())} ${domain}`, JSON.stringify(policy));
    if (!counted) return;
    if (!failure) {
      counted.successes += 1;
      return;
    }
    const { sendingAddress, mx, receivingAddress } = where;
    const detail: Omit<TlsFailureDetail, 'count'> = {
      type: failure.type,
      ...(sendingAddress ? { sendingAddress } : {}),
      mx,
      receivingAddress,
      ...(failure.reason ? { reason: failure.reason.slice(0, 200) } : {}),
    };
    const full = JSON.stringify(detail);
    const key =
      counted.failures.size < DETAILS || counted.failures.has(full) ? full : JSON.stringify({ type: failure.type });
    counted.failures.set(key, (counted.failures.get(key) ?? 0) + 1);
  }

  /** Adds what waits to Redis; what cannot be written or asked of DNS now waits for the next time. */
  async flush(): Promise<void> {
    const batch = [...this.#waiting];
    this.#waiting = new Map();
    for (let at = 0; at < batch.length; at += AT_ONCE) {
      const part = batch.slice(at, at + AT_ONCE);
      const wanted = await Promise.all(part.map(([name]) => this.#isWanted(name.slice(11))));
      const back = part.filter((_, index) => wanted[index] === undefined);
      const commands = part
        .filter((_, index) => wanted[index])
        .flatMap(([name, policies]) => this.#commands(name, policies));
      this.#putBack(back);
      if (commands.length === 0) continue;
      try {
        await this.deps.executor.exec(commands, { refusable: true });
      } catch (error) {
        // Twice counted would be worse than not at all: only what surely did not run is kept.
        const uncertain = (error as Error).name === 'RedisUncertainError';
        this.#putBack(batch.slice(uncertain ? at + AT_ONCE : at).filter((one) => !back.includes(one)));
        throw error;
      }
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      await sleep(FLUSH_EVERY, undefined, { signal, ref: false }).catch(() => undefined);
      await this.flush().catch((error: Error) => this.deps.onError?.(error));
    }
  }

  #now(): number {
    return (this.deps.now ?? Date.now)();
  }

  #countedOf(name: string, policy: string): Counted | undefined {
    let policies = this.#waiting.get(name);
    if (!policies) {
      if (this.#waiting.size >= DOMAINS) return undefined;
      policies = new Map();
      this.#waiting.set(name, policies);
    }
    let counted = policies.get(policy);
    if (!counted) {
      if (policies.size >= DETAILS) return undefined;
      counted = { successes: 0, failures: new Map() };
      policies.set(policy, counted);
    }
    return counted;
  }

  #putBack(list: readonly (readonly [string, Map<string, Counted>])[]): void {
    for (const [name, policies] of list) {
      for (const [policy, { successes, failures }] of policies) {
        const counted = this.#countedOf(name, policy);
        if (!counted) continue;
        counted.successes += successes;
        for (const [detail, count] of failures)
          counted.failures.set(detail, (counted.failures.get(detail) ?? 0) + count);
      }
    }
  }

  #commands(name: string, policies: Map<string, Counted>): Command[] {
    const subject: ReportSubject = { kind: 'tls', day: name.slice(0, 10), domain: name.slice(11) };
    const counts = [...policies].map(([policy, { successes, failures }]) =>
      countTls(subject, {
        policy: JSON.parse(policy),
        successes,
        failures: [...failures].map(([detail, count]) => ({ ...JSON.parse(detail), count })),
      }),
    );
    return [noteDue(subject, dueAt(subject, this.deps.settings().window)), ...counts];
  }

  /** @returns whether a domain publishes where it wants reports; undefined where DNS does not say now. */
  async #isWanted(domain: string): Promise<boolean | undefined> {
    const now = this.#now();
    const known = this.#wanted.get(domain);
    if (known && known.until > now) return known.wanted;
    const texts = await this.deps.resolveTxt(`_smtp._tls.${domain}`).catch(() => undefined);
    const wanted = texts && parseTlsRptRecord(texts).length > 0;
    this.#wanted.delete(domain);
    this.#wanted.set(domain, { until: now + (texts ? KNOWN_FOR : UNKNOWN_FOR), wanted });
    for (const oldest of this.#wanted.keys()) {
      if (this.#wanted.size <= KNOWN) break;
      this.#wanted.delete(oldest);
    }
    return wanted;
  }
}
