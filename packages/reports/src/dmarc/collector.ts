import { setTimeout as sleep } from 'node:timers/promises';
import type { Executor } from '@waypost/redis';
import { noteDue } from '../ledger.js';
import { dayOf, dueAt, type ReportSubject } from '../subject.js';
import type { DmarcRow, PublishedPolicy } from './report.js';
import { countDmarc } from './store.js';

export interface DmarcCollectorDeps {
  readonly executor: Executor;
  /** Whether reports go to a domain at all, and over how long they are spread, ms. */
  readonly settings: () => { readonly window: number; readonly goesTo: (domain: string) => boolean };
  readonly onError?: (error: Error) => void;
}

/** One message, and whose policy it came under. */
export interface DmarcMessage {
  readonly policy: PublishedPolicy;
  readonly row: DmarcRow;
  /** ms since the epoch. */
  readonly at: number;
}

/** What waits here goes to Redis this often, ms. */
const FLUSH_EVERY = 5_000;
/** Domains that wait at most, and rows of them all: past it, messages are counted without a row or not at all. */
const DOMAINS = 5_000;
const ROWS = 50_000;
/** Domains that are written in one go. */
const AT_ONCE = 50;
const STOP_WITHIN = 3_000;

interface Counted {
  policy: PublishedPolicy;
  readonly rows: Map<string, number>;
  unlisted: number;
}

/**
 * Counts authenticated mail for reports to the domains it is said to be from (RFC 7489 §7.2). A process gathers what it sees and
 * adds it to Redis every few seconds, all domains together, so that no message waits for it and none pays for it; what a
 * process that is killed has not yet written is missing from the report.
 */
export class DmarcCollector {
  /** By day and domain. */
  #waiting = new Map<string, Counted>();
  #rows = 0;
  readonly #stopped = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(private readonly deps: DmarcCollectorDeps) {}

  start(): void {
    this.#running = this.#run();
  }

  /** Writes what waits. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    const last = this.#running.then(() => this.flush()).catch((error: Error) => this.deps.onError?.(error));
    await Promise.race([last, sleep(STOP_WITHIN, undefined, { ref: false })]);
  }

  note({ policy, row, at }: DmarcMessage): void {
    if (this.deps.settings().goesTo(policy.domain)) this.#add(`${dayOf(at)} ${policy.domain}`, policy, row, 1);
  }

  #add(name: string, policy: PublishedPolicy, row: DmarcRow | string, count: number): void {
    let counted = this.#waiting.get(name);
    if (!counted) {
      if (this.#waiting.size >= DOMAINS) return;
      counted = { policy, rows: new Map(), unlisted: 0 };
      this.#waiting.set(name, counted);
    }
    counted.policy = policy;
    const key = typeof row === 'string' ? row : JSON.stringify(row);
    const known = counted.rows.get(key);
    if (known === undefined && this.#rows >= ROWS) {
      counted.unlisted += count;
      return;
    }
    if (known === undefined) this.#rows += 1;
    counted.rows.set(key, (known ?? 0) + count);
  }

  /** Adds what waits to Redis; what surely was not written waits for the next time. */
  async flush(): Promise<void> {
    const batch = [...this.#waiting];
    this.#waiting = new Map();
    this.#rows = 0;
    for (let at = 0; at < batch.length; at += AT_ONCE) {
      const commands = batch.slice(at, at + AT_ONCE).flatMap(([name, counted]) => {
        const subject: ReportSubject = { kind: 'dmarc', day: name.slice(0, 10), domain: name.slice(11) };
        return [noteDue(subject, dueAt(subject, this.deps.settings().window)), countDmarc(subject, counted)];
      });
      try {
        await this.deps.executor.exec(commands, { refusable: true });
      } catch (error) {
        // Twice counted would be worse than not at all.
        const uncertain = (error as Error).name === 'RedisUncertainError';
        this.#putBack(batch.slice(uncertain ? at + AT_ONCE : at));
        throw error;
      }
    }
  }

  #putBack(list: readonly (readonly [string, Counted])[]): void {
    for (const [name, { policy, rows, unlisted }] of list) {
      for (const [row, count] of rows) this.#add(name, policy, row, count);
      const counted = this.#waiting.get(name);
      if (counted) counted.unlisted += unlisted;
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      await sleep(FLUSH_EVERY, undefined, { signal, ref: false }).catch(() => undefined);
      await this.flush().catch((error: Error) => this.deps.onError?.(error));
    }
  }
}
