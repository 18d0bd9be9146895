import type { Config } from '@waypost/config';
import {
  ageFrom,
  isTerminal,
  type LaneJob,
  type MessageEvent,
  type MessageRecord,
  type RecipientStatus,
  type Reply,
  wantsDsn,
} from '@waypost/mail';
import { laneJobId, laneQueue, wakeLane, withdraw } from '@waypost/queue';
import type { Command, Executor } from '@waypost/redis';
import type { Runtime } from '@waypost/runtime';
import { planOf } from '@waypost/shaping';
import type { Spool } from '@waypost/spool';
import { beginningOf, type Committer, claimEnd, type MessageStore, makeNotice, unclaim } from '@waypost/store';

export interface ExpirerDeps {
  readonly runtime: Runtime;
  readonly config: () => Config;
  readonly executor: Executor;
  readonly store: MessageStore;
  readonly spool: Spool;
  readonly committer: Committer;
}

/** Recipients of a message that end now, and the lane job that had them. */
interface Ending {
  readonly open: readonly number[];
  readonly lane?: string;
  /** Index of the job's first recipient. */
  readonly first?: number;
  readonly text: string;
}

/**
 * Ends what has waited for longer than a message may, wherever it waits: for policy, for a release, or in a lane that is
 * suspended or never comes to it. What a lane tries again by itself ends there, with its last attempt.
 */
export class Expirer {
  constructor(private readonly deps: ExpirerDeps) {}

  /** @returns ms; a message younger than this has not expired under any rule. */
  get youngest(): number {
    const { delivery, shaping, providers } = this.deps.config();
    const given = [...shaping, ...providers].flatMap(({ max_age }) => (max_age === undefined ? [] : [max_age]));
    return Math.min(delivery.max_age, ...given);
  }

  /**
   * @param grace ms for which a last attempt is waited for.
   * @returns how many recipients ended.
   */
  async end(record: MessageRecord, now: number, grace: number): Promise<number> {
    let count = 0;
    for (const ending of await this.#endings(record, now, grace)) count += await this.#expire(record, ending, now);
    return count;
  }

  async #endings(record: MessageRecord, now: number, grace: number): Promise<Ending[]> {
    const { meta, stage, jobs } = record;
    const open = record.recipients.flatMap(({ state }, i) => (isTerminal(state) ? [] : [i]));
    const config = this.deps.config();
    const over = (maxAge: number) => now >= ageFrom(meta) + maxAge + grace;
    if (open.length === 0) return [];
    if (stage !== 'routed') {
      const where = stage === 'held' ? 'held, and nobody released it' : 'not judged in time';
      return over(config.delivery.max_age) ? [{ open, text: `Not delivered in time: ${where}` }] : [];
    }
    return (jobs ?? []).flatMap(({ first, lane }) =>
      over(planOf(config).terms(lane).maxAge)
        ? [
            {
              open,
              lane,
              first,
              text: 'Not delivered in time: its turn did not come, or mail of its kind was suspended',
            },
          ]
        : [],
    );
  }

  async #expire(record: MessageRecord, ending: Ending, now: number): Promise<number> {
    const { executor, store, spool, runtime } = this.deps;
    const { meta } = record;
    const job = await this.#withdrawn(record, ending);
    if (ending.lane !== undefined && !job) return 0;
    // Held mail may end elsewhere too, or be released.
    if (ending.lane === undefined && (await executor.exec([claimEnd(meta.id)]))[0] !== 'OK') return 0;
    const open = job ? ending.open.filter((i) => job.rcpts.some((rcpt) => rcpt.i === i)) : ending.open;
    const { lane, first } = ending;
    const reply = replyFor(record, open, ending.text);
    const status: RecipientStatus = { state: 'expired', at: now, reply, ...(lane ? { lane } : {}) };
    const event: MessageEvent = {
      type: 'Expiration',
      id: meta.id,
      at: now,
      rcpts: open,
      reply,
      ...(lane ? { lane } : {}),
    };
    const transition = store.transition({
      id: meta.id,
      outcomes: open.map((i) => ({ i, status })),
      events: [event],
      ...(first === undefined ? {} : { jobs: [{ first, lane: '' }] }),
    });
    const [left] = await executor.exec([
      ...transition,
      ...(await this.#notice(record, open, reply)),
      ...(lane ? wakeLane(lane, now, 1) : [unclaim(meta.id)]),
    ]);
    runtime.log.event(event);
    runtime.metrics.expiredWaiting.inc({ stage: record.stage }, open.length);
    if (typeof left === 'number' && left <= 0)
      await spool.remove(meta.id, meta.body, ...(record.variants ?? [])).catch(() => undefined);
    return open.length;
  }

  /** Takes the job out of its lane. @returns it; undefined where it is being sent, or elsewhere by now. */
  async #withdrawn({ meta }: MessageRecord, { lane, first = 0 }: Ending): Promise<LaneJob | undefined> {
    if (lane === undefined) return undefined;
    const jobId = laneJobId(meta.id, first);
    const read = { name: 'hget', args: [laneQueue(lane).jobKey(jobId), 'data'] };
    const [data, out] = await this.deps.executor.exec([read, withdraw(lane, jobId)]);
    return out === 1 && typeof data === 'string' ? (JSON.parse(data) as LaneJob) : undefined;
  }

  /** The sender hears of it as of any other failure; of mail from outside the sender may be forged. */
  async #notice({ meta }: MessageRecord, open: readonly number[], reply: Reply): Promise<Command[]> {
    const { spool, committer, config, runtime } = this.deps;
    const { sender, recipients, ret, envid } = meta.envelope;
    const about = open.flatMap((i) => {
      const { address = '', notify, orcpt } = recipients[i] ?? {};
      if (!wantsDsn('failed', sender, notify)) return [];
      return [{ address, action: 'failed' as const, reply, ...(orcpt ? { orcpt } : {}) }];
    });
    if (about.length === 0 || meta.origin.kind === 'mx') return [];
    try {
      const original = await spool
        .read(meta.id, meta.body)
        .then(beginningOf)
        .catch(() => Buffer.alloc(0));
      const subject = { id: meta.id, sender, receivedAt: meta.receivedAt, ret, envid, traceparent: meta.traceparent };
      const notice = await makeNotice(spool, config().server.hostname, subject, about, original);
      return committer.commands([notice], { once: true });
    } catch (error) {
      runtime.log.error({ id: meta.id, error: (error as Error).message }, 'a DSN could not be made');
      return [];
    }
  }
}

function replyFor(record: MessageRecord, open: readonly number[], text: string): Reply {
  const last = record.recipients[open[0] ?? 0]?.reply;
  return { code: 550, enhanced: '4.4.7', text: last ? `${text}; the last answer was: ${last.text}` : text };
}
