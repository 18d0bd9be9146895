import type { Config } from '@waypost/config';
import type { MailResolver } from '@waypost/dns';
import type { PolicyQueue } from '@waypost/queue';
import type { RedisHandle } from '@waypost/redis';
import { ReportLedger } from '@waypost/reports';
import type { Runtime, Service } from '@waypost/runtime';
import type { BlobStore, Spool } from '@waypost/spool';
import { type Committer, type HeldMail, type MessageStore, UNKNOWN_OUTCOMES } from '@waypost/store';
import { Expirer } from './expirer.js';
import { Gauges } from './gauges.js';
import { expireHeld } from './held-expiry.js';
import { Reconciler } from './reconciler.js';
import { DailyReports } from './reports/daily-reports.js';
import { dmarcReports } from './reports/dmarc.js';
import type { ReportKind } from './reports/report.js';
import { tlsReports } from './reports/tls.js';

export interface EventsDeps {
  readonly runtime: Runtime;
  readonly config: () => Config;
  readonly redis: RedisHandle;
  readonly store: MessageStore;
  readonly queue: PolicyQueue;
  /** This process, unique for its life. */
  readonly replica: string;
  readonly spool: Spool;
  readonly blobs: BlobStore;
  readonly committer: Committer;
  readonly held: HeldMail;
  readonly resolver: MailResolver;
}

/** Every process of this service looks this often, and one of them finds the time has come, ms. */
const EVERY = 60_000;
const PASS_EVERY = 300_000;
const TURN = 'wp:reconciler';

/** Work beside the path of a message: the reconciler, and the daily reports to other domains. */
export function createEvents(deps: EventsDeps): Service {
  const expirer = new Expirer({ ...deps, executor: deps.redis.group });
  const reconciler = new Reconciler({ ...deps, executor: deps.redis.group, expirer });
  const executor = deps.redis.group;
  const kinds: ReportKind[] = [tlsReports({ ...deps, executor }), dmarcReports({ ...deps, executor })];
  const reports = new DailyReports({ ...deps, executor, ledger: new ReportLedger(executor), kinds });
  const gauges = new Gauges(deps);
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<unknown> = Promise.resolve();
  const isOurTurn = async (): Promise<boolean> => {
    const [taken] = await deps.redis.group.exec([
      { name: 'set', args: [TURN, '1', 'NX', 'PX', PASS_EVERY - EVERY / 2] },
    ]);
    return taken === 'OK';
  };
  const count = async () => {
    const [waiting] = await executor.exec([{ name: 'zcard', args: [UNKNOWN_OUTCOMES] }]);
    deps.runtime.metrics.outcomesToSettle.set(Number(waiting));
  };
  const pass = () => {
    running = running
      .then(count)
      .then(() => expireHeld({ ...deps, executor }))
      .then(async () => ((await isOurTurn()) ? reconciler.pass() : undefined))
      .catch((error: Error) => deps.runtime.log.warn({ error: error.message }, 'the reconciler could not finish'));
  };
  return {
    name: 'events',
    start: async () => {
      timer = setInterval(pass, EVERY);
      gauges.start();
      await reports.start();
    },
    stop: async () => {
      clearInterval(timer);
      await Promise.all([running, gauges.stop(), reports.stop()]);
    },
    ready: () => (deps.redis.group.available ? undefined : 'Redis cannot be reached'),
  };
}
