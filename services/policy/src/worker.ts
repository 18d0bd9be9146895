import {
  ageFrom,
  isTerminal,
  type MessageEvent,
  type MessageMeta,
  type MessageRecord,
  type RecipientStatus,
  wantsDsn,
} from '@waypost/mail';
import { addToLanes, isRedisTrouble, type PolicyJob, type PolicyQueue } from '@waypost/queue';
import type { Command, Executor } from '@waypost/redis';
import { planOf, type SiteFinder } from '@waypost/shaping';
import { beginningOf, type Committer, countHeld, type MessageStore, makeNotice, type TrailStore } from '@waypost/store';
import { toJudgement } from './carry.js';
import type { Evaluation } from './evaluate.js';
import { Collected } from './findings.js';
import { holdNote } from './hold.js';
import type { Judge, JudgeDeps, Leaving } from './judge.js';
import type { ReportHandler } from './returned/handler.js';
import type { routeMessage } from './route.js';
import { routeForms } from './route-forms.js';

export interface WorkerDeps extends Omit<JudgeDeps, 'checks'> {
  readonly executor: Executor;
  readonly store: MessageStore;
  readonly committer: Committer;
  readonly trails: TrailStore;
  readonly queue: PolicyQueue;
  readonly sites: SiteFinder;
  readonly judge: Judge;
  readonly reports: ReportHandler;
}

/** Judges the messages of one policy job. */
export class PolicyWorker {
  /** Messages that a job ends, until its verdicts are recorded. */
  readonly #ended = new WeakMap<PolicyJob, MessageRecord[]>();

  /** Messages that were held when it was last looked. */
  #held = 0;

  constructor(private readonly deps: WorkerDeps) {}

  /** @returns the commands that record the verdicts and hand the messages to their lanes. */
  async handle(job: PolicyJob): Promise<Command[]> {
    const [records, anySuppressed] = await this.#read(job.ids);
    const ended: MessageRecord[] = [];
    const judged = await Promise.all(
      records.map((record) => (record ? this.#judgeAlone(record, anySuppressed, ended) : [])),
    );
    this.#ended.set(job, ended);
    return judged.flat();
  }

  /** What is wrong with one message must not hold up those that came with it, nor keep it for ever. */
  async #judgeAlone(record: MessageRecord, anySuppressed: boolean, ended: MessageRecord[]): Promise<Command[]> {
    try {
      return await this.#judge(record, anySuppressed, ended);
    } catch (error) {
      if (isRedisTrouble(error)) throw error;
      const { id } = record.meta;
      this.deps.runtime.log.error({ id, error: (error as Error).message }, 'a message could not be judged');
      const open = record.recipients.flatMap(({ state }, i) => {
        const recipient = record.meta.envelope.recipients[i];
        return isTerminal(state) || !recipient ? [] : [{ i, recipient }];
      });
      const evaluation = {
        kind: 'defer',
        reason: 'Local error, tried again later',
        open,
        refused: [],
        forms: [],
        findings: new Collected(record.meta.tags),
        added: [],
        done: [],
      } as const;
      return this.#record(record, evaluation, ended, record.meta.traceparent ?? '');
    }
  }

  /** Drops the bodies of messages that have no open recipient any more. */
  recorded(job: PolicyJob): void {
    const { spool, runtime } = this.deps;
    for (const { meta, variants = [] } of this.#ended.get(job) ?? []) {
      const { id, body } = meta;
      spool
        .remove(id, body, ...variants)
        .catch((error: Error) => runtime.log.warn({ id, error: error.message }, 'a body could not be removed yet'));
    }
  }

  async #read(ids: readonly string[]): Promise<[(MessageRecord | undefined)[], boolean]> {
    const [records, [count, held]] = await Promise.all([
      this.deps.store.readMany(ids),
      this.deps.executor.exec([this.deps.suppressions.count(), countHeld()]),
    ]);
    this.#held = Number(held);
    return [records, Number(count) > 0];
  }

  async #judge(record: MessageRecord, anySuppressed: boolean, ended: MessageRecord[]): Promise<Command[]> {
    const { stage, meta: about } = record;
    if ((stage === 'accepted' || stage === 'held') && this.deps.reports.covers(about)) {
      const { commands, ended: over } = await this.deps.reports.handle(record);
      if (over) ended.push(record);
      return commands;
    }
    // Handed over, held or canceled already: a replayed job changes nothing.
    if (record.stage !== 'accepted' && record.stage !== 'scheduled') return [];
    const { runtime, judge } = this.deps;
    const { meta } = record;
    const started = performance.now();
    const span = runtime.tracer.start('policy', {
      parent: meta.traceparent,
      kind: 'consumer',
      attributes: { 'waypost.service': 'policy', 'messaging.message.id': meta.id },
    });
    try {
      return await judge.judge(record, { anySuppressed }, async (evaluation) => {
        runtime.metrics.policySeconds.observe((performance.now() - started) / 1000);
        runtime.metrics.policyVerdicts.inc({ verdict: evaluation.open.length === 0 ? 'reject' : evaluation.kind });
        span.set('waypost.verdict', evaluation.kind);
        return await this.#record(record, this.#withinQuota(record, evaluation), ended, span.traceparent);
      });
    } finally {
      span.end();
    }
  }

  async #record(
    record: MessageRecord,
    judged: Evaluation,
    ended: MessageRecord[],
    traceparent: string,
  ): Promise<Command[]> {
    const { meta } = record;
    const now = Date.now();
    const leaving = await this.deps.judge.leaving(record, judged);
    const jobs = judged.kind === 'pass' ? await this.#route(record, traceparent, judged, leaving) : [];
    const evaluation = this.#final(judged, meta, jobs, now);
    if (evaluation.open.length === 0) ended.push(record);
    const refused = evaluation.refused.map(({ i, reply, state }) => ({
      i,
      status: { state, at: now, reply } as RecipientStatus,
    }));
    const events = this.#refusalEvents(record, evaluation, now);
    const notices = await this.#notices(record, evaluation).catch((error: unknown) => {
      if (isRedisTrouble(error)) throw error;
      this.deps.runtime.log.error({ id: meta.id, error: (error as Error).message }, 'a DSN could not be made');
      return [];
    });
    if (evaluation.open.length === 0 || evaluation.kind === 'hold' || evaluation.kind === 'defer') {
      return [...this.#stay(record, evaluation, leaving, refused, events, now), ...notices];
    }
    const lanes = [...new Set(jobs.map(({ job }) => job.lane))];
    const queued: MessageEvent = { type: 'Queued', id: meta.id, at: now, detail: lanes.join(' '), traceparent };
    events.push(queued);
    this.deps.runtime.log.event(queued);
    const { bounces } = this.deps.config();
    return [
      ...this.deps.store.keepVariants(leaving.drafts),
      ...this.deps.store.addRecipients(meta.id, allAdded(record, judged)),
      ...addToLanes(jobs),
      ...(bounces.secret === '' ? [] : this.deps.trails.put(meta, bounces.keep)),
      ...this.deps.store.transition({
        id: meta.id,
        outcomes: refused,
        events,
        jobs: jobs.map(({ job }) => ({ first: job.rcpts[0]?.i ?? 0, lane: job.lane })),
        ...found(judged),
        stage: 'routed',
      }),
      ...notices,
    ];
  }

  #route(record: MessageRecord, traceparent: string, judged: Evaluation, leaving: Leaving) {
    const config = this.deps.config();
    const traced = { ...record, meta: { ...record.meta, traceparent } };
    return routeForms(traced, judged, leaving, {
      routes: config.routes,
      bounces: config.bounces,
      plan: planOf(config),
      sites: this.deps.sites,
    });
  }

  /** Where too much is held already, what would be held waits in the queue. */
  #withinQuota({ judged }: MessageRecord, evaluation: Evaluation): Evaluation {
    const { quota } = this.deps.config().held;
    if (evaluation.kind !== 'hold' || judged?.hold || this.#held < quota) return evaluation;
    this.deps.runtime.log.warn({ held: this.#held, quota }, 'more mail is to be held than held.quota allows');
    return { ...evaluation, kind: 'defer', reason: 'too much mail is held' };
  }

  /** Recipients whom no job carries, and what is put off for longer than a message may take, have failed. */
  #final(
    judged: Evaluation,
    meta: MessageMeta,
    jobs: Awaited<ReturnType<typeof routeMessage>>,
    now: number,
  ): Evaluation {
    const { kind, open, refused, reason } = judged;
    const late = kind === 'defer' && now - ageFrom(meta) >= this.deps.config().delivery.max_age;
    const carried = new Set(jobs.flatMap(({ job }) => job.rcpts.map(({ i }) => i)));
    const lost = open.filter(({ i }) => late || (kind === 'pass' && !carried.has(i)));
    if (lost.length === 0) return judged;
    const state = late ? ('expired' as const) : ('rejected' as const);
    const text = `Not judged in time${reason ? `; the last reason was: ${reason}` : ''}`;
    const given = lost.map(({ i, recipient }) => ({
      i,
      state,
      reply: late
        ? { code: 550, enhanced: '4.4.7', text }
        : { code: 550, enhanced: '5.4.4', text: `No route for ${recipient.address}` },
    }));
    const left = open.filter((one) => !lost.includes(one));
    return { ...judged, open: left, refused: [...refused, ...given] };
  }

  /** Held, deferred or refused as a whole: nothing goes to a lane. */
  #stay(
    record: MessageRecord,
    evaluation: Evaluation,
    leaving: Leaving,
    refused: { i: number; status: RecipientStatus }[],
    events: MessageEvent[],
    now: number,
  ): Command[] {
    const { store, queue, config, runtime } = this.deps;
    const { kind, reason, open } = evaluation;
    const { id } = record.meta;
    if (open.length === 0) return store.transition({ id, outcomes: refused, events, ...found(evaluation) });
    const type = kind === 'hold' ? 'Held' : 'PolicyDefer';
    const event: MessageEvent = { type, id, at: now, ...(reason ? { detail: reason } : {}) };
    runtime.log.event(event);
    const all = [...events, event];
    if (kind === 'hold') {
      const note = holdNote(record, evaluation, config(), now);
      return [
        ...store.keepVariants(leaving.drafts),
        ...store.hold(record, toJudgement(record, evaluation, leaving, note), { refused, events: all }),
      ];
    }
    const at = now + config().policy.retry;
    return [
      ...store.transition({ id, outcomes: refused, events: all }),
      ...queue.add([id], { jobId: `${id}~${now}`, at }),
    ];
  }

  #refusalEvents({ meta }: MessageRecord, { refused }: Evaluation, now: number): MessageEvent[] {
    return refused.map(({ i, reply, state }) => {
      const event: MessageEvent = {
        type: REFUSALS[state],
        id: meta.id,
        at: now,
        rcpts: [i],
        reply,
      };
      this.deps.runtime.log.event(event);
      return event;
    });
  }

  /** DSNs for refusals; none for mail from outside, whose sender may be forged. */
  async #notices({ meta }: MessageRecord, { refused }: Evaluation): Promise<Command[]> {
    const { sender, recipients, ret, envid } = meta.envelope;
    if (meta.origin.kind === 'mx') return [];
    const told = refused.filter(({ i }) => wantsDsn('failed', sender, recipients[i]?.notify));
    if (told.length === 0) return [];
    const body = await this.deps.spool.read(meta.id, meta.body);
    const original = await beginningOf(body);
    const about = told.map(({ i, reply }) => {
      const { address = '', orcpt } = recipients[i] ?? {};
      return { address, action: 'failed' as const, reply, ...(orcpt ? { orcpt } : {}) };
    });
    const { spool, config, committer } = this.deps;
    const subject = { id: meta.id, sender, receivedAt: meta.receivedAt, ret, envid, traceparent: meta.traceparent };
    const notice = await makeNotice(spool, config().server.hostname, subject, about, original);
    return committer.commands([notice], { once: true });
  }
}

/** @returns what is kept of the findings, to explain what became of the message. */
function found({ findings: { symbols } }: Evaluation): { fields?: Record<string, string> } {
  return symbols.length > 0 ? { fields: { found: JSON.stringify(symbols) } } : {};
}

/** @returns the recipients that rules have added, those of earlier judgements first. */
function allAdded({ meta, added = 0 }: MessageRecord, judged: Evaluation) {
  if (judged.added.length === 0) return [];
  const { recipients } = meta.envelope;
  return [...recipients.slice(recipients.length - added), ...judged.added];
}

const REFUSALS = { rejected: 'Rejection', suppressed: 'Suppressed', expired: 'Expiration' } as const;
