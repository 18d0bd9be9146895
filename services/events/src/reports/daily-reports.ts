import type { Config } from '@waypost/config';
import type { RedisHandle } from '@waypost/redis';
import { type ReportClaim, type ReportLedger, WAKE_REPORTS } from '@waypost/reports';
import type { Runtime } from '@waypost/runtime';
import type { ReportKind } from './report.js';
import { type ReportSenderDeps, sendReport } from './sender.js';

export interface DailyReportsDeps extends ReportSenderDeps {
  readonly runtime: Runtime;
  readonly config: () => Config;
  readonly redis: Pick<RedisHandle, 'subscriber'>;
  readonly ledger: ReportLedger;
  readonly kinds: readonly ReportKind[];
}

/** Looked for at least this often, ms. */
const LOOK_EVERY = 60_000;
/** Between two looks, ms: what is due by our clock may not be by that of Redis, which counts. */
const PAUSE = 1_000;
/** Reports of a kind that one process has under way. */
const AT_ONCE = 4;
/** A report that nobody took is tried again after this, twice as long each time, and given up after a day (RFC 8460 §5.5), ms. */
const RETRY = 600_000;
const RETRY_MAX = 14_400_000;
const GIVE_UP = 86_400_000;

/** Sends the reports of days that are over. Any number of processes may: a report is one's at a time (see ReportLedger). */
export class DailyReports {
  #timer: NodeJS.Timeout | undefined;
  #nextLook = Number.POSITIVE_INFINITY;
  readonly #workers = new Map<Promise<void>, ReportKind>();
  #running = false;

  constructor(private readonly deps: DailyReportsDeps) {}

  async start(): Promise<void> {
    this.#running = true;
    const { subscriber } = this.deps.redis;
    subscriber.on('message', this.#onMessage);
    await subscriber.subscribe(WAKE_REPORTS);
    this.#look();
  }

  /** Takes up no further report; those under way are finished, which takes no longer than an upload may. */
  async stop(): Promise<void> {
    this.#running = false;
    clearTimeout(this.#timer);
    this.deps.redis.subscriber.off('message', this.#onMessage);
    await Promise.all(this.#workers.keys());
  }

  readonly #onMessage = (channel: string) => {
    if (channel === WAKE_REPORTS) this.#look();
  };

  /** Has as many at work as there may be; those that find nothing to do leave at once. */
  #look(): void {
    if (!this.#running) return;
    this.#nextLook = Number.POSITIVE_INFINITY;
    this.#lookAt(Date.now() + LOOK_EVERY);
    const { kinds, ledger, config, runtime } = this.deps;
    for (const kind of kinds) {
      const { name } = kind;
      ledger.count(name).then(
        (count) => runtime.metrics.reportsPending.set({ kind: name }, count),
        () => undefined,
      );
      if (config().reports.from === undefined) continue;
      const busy = [...this.#workers.values()].filter((one) => one === kind).length;
      for (let free = AT_ONCE - busy; free > 0; free -= 1) this.#employ(kind);
    }
  }

  #employ(kind: ReportKind): void {
    const work = this.#sendDue(kind)
      .then((next) => this.#lookAt(next))
      .catch((error: Error) => {
        const fields = { kind: kind.name, error: error.message };
        this.deps.runtime.log.warn(fields, 'daily reports could not be looked after');
      })
      .finally(() => this.#workers.delete(work));
    this.#workers.set(work, kind);
  }

  /** @param at ms since the epoch. */
  #lookAt(at: number): void {
    if (at >= this.#nextLook || !this.#running) return;
    clearTimeout(this.#timer);
    this.#nextLook = at;
    this.#timer = setTimeout(() => this.#look(), Math.max(PAUSE, at - Date.now()));
    this.#timer.unref();
  }

  /** @returns when the next report is due, as far as is known, ms since the epoch. */
  async #sendDue(kind: ReportKind): Promise<number> {
    while (this.#running) {
      const claim = await this.deps.ledger.claim(kind.name);
      if (claim === undefined) return Number.POSITIVE_INFINITY;
      if (typeof claim === 'number') return claim;
      await this.#send(kind, claim);
    }
    return Number.POSITIVE_INFINITY;
  }

  async #send(kind: ReportKind, claim: ReportClaim): Promise<void> {
    const { ledger, runtime } = this.deps;
    const { subject } = claim;
    const alive = setInterval(() => void ledger.renew(claim).catch(() => false), ledger.lease / 3);
    try {
      const failures = await this.#attempt(kind, claim);
      if (failures.length === 0) return await ledger.finish(claim, kind.forget(subject));
      const error = failures.join('; ');
      if (Date.now() - claim.since >= GIVE_UP) {
        runtime.metrics.reports.inc({ kind: kind.name, way: 'any', result: 'given_up' });
        runtime.log.warn({ ...subject, error }, 'a report is given up');
        return await ledger.finish(claim, kind.forget(subject));
      }
      runtime.log.info({ ...subject, tries: claim.tries, error }, 'a report is not everywhere yet');
      await ledger.retry(claim, Math.min(RETRY_MAX, RETRY * 2 ** (claim.tries - 1)), error);
    } finally {
      clearInterval(alive);
    }
  }

  async #attempt(kind: ReportKind, claim: ReportClaim): Promise<string[]> {
    try {
      const report = await kind.make(claim.subject);
      if (!report) return [];
      const failures = await sendReport(report, claim, this.deps);
      if (failures.length === 0) this.deps.runtime.log.info({ ...claim.subject, id: report.id }, 'a report is sent');
      return failures;
    } catch (error) {
      return [(error as Error).message];
    }
  }
}
