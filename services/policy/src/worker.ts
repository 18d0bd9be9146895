import type { Config } from '@waypost/config';
import type { MessageEvent, MessageMeta, MessageRecord, RecipientStatus } from '@waypost/mail';
import { isTerminal, wantsDsn } from '@waypost/mail';
import { addToLanes, isRedisTrouble, type PolicyJob, type PolicyQueue } from '@waypost/queue';
import type { Command, Executor } from '@waypost/redis';
import type { Runtime } from '@waypost/runtime';
import { planOf, type SiteFinder } from '@waypost/shaping';
import type { Draft, Spool } from '@waypost/spool';
import {
  beginningOf,
  type Committer,
  type MessageStore,
  makeNotice,
  type Suppression,
  type SuppressionStore,
  type TrailStore,
} from '@waypost/store';
import type { Check } from './check.js';
import { type Evaluation, evaluate } from './evaluate.js';
import { Collected } from './findings.js';
import type { Form } from './form.js';
import { ReportHandler } from './returned/handler.js';
import { type LeavingForm, routeMessage } from './route.js';
import { ScanMemory, StoredMessage } from './stored.js';

export interface WorkerDeps {
  readonly runtime: Runtime;
  readonly config: () => Config;
  readonly executor: Executor;
  readonly spool: Spool;
  readonly store: MessageStore;
  readonly committer: Committer;
  readonly suppressions: SuppressionStore;
  readonly trails: TrailStore;
  readonly queue: PolicyQueue;
  readonly sites: SiteFinder;
  readonly checks: readonly Check[];
}

/** Judges the messages of one policy job. */
export class PolicyWorker {
  /** Messages that a job ends, until its verdicts are recorded. */
  readonly #ended = new WeakMap<PolicyJob, MessageRecord[]>();
  readonly #memory: ScanMemory;

  readonly #reports: ReportHandler;

  constructor(private readonly deps: WorkerDeps) {
    this.#memory = new ScanMemory(() => deps.config().policy.scan_memory);
    this.#reports = new ReportHandler(deps);
  }

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
    const [records, [count]] = await Promise.all([
      this.deps.store.readMany(ids),
      this.deps.executor.exec([this.deps.suppressions.count()]),
    ]);
    return [records, Number(count) > 0];
  }

  async #judge(record: MessageRecord, anySuppressed: boolean, ended: MessageRecord[]): Promise<Command[]> {
    const { stage, meta: about } = record;
    if ((stage === 'accepted' || stage === 'held') && this.#reports.covers(about)) {
      const { commands, ended: over } = await this.#reports.handle(record);
      if (over) ended.push(record);
      return commands;
    }
    // Handed over, held or canceled already: a replayed job changes nothing.
    if (record.stage !== 'accepted' && record.stage !== 'scheduled') return [];
    const { runtime, spool, suppressions, checks, config } = this.deps;
    const { meta } = record;
    const started = performance.now();
    const span = runtime.tracer.start('policy', {
      parent: meta.traceparent,
      kind: 'consumer',
      attributes: { 'waypost.service': 'policy', 'messaging.message.id': meta.id },
    });
    const stored = new StoredMessage(meta, { spool, memory: this.#memory, scanMax: config().policy.scan_max });
    try {
      const evaluation = await evaluate(
        record,
        checks,
        {
          body: () => stored.body(),
          message: () => stored.message(),
          scores: () => config().spam.scores,
          suppressed: async (addresses) => (anySuppressed ? suppressions.find(addresses, meta.origin.tenant) : NONE),
        },
        (error, check) => runtime.log.error({ id: meta.id, check, error: error.message }, 'a policy check failed'),
      );
      runtime.metrics.policySeconds.observe((performance.now() - started) / 1000);
      runtime.metrics.policyVerdicts.inc({ verdict: evaluation.open.length === 0 ? 'reject' : evaluation.kind });
      span.set('waypost.verdict', evaluation.kind);
      return await this.#record(record, evaluation, ended, span.traceparent);
    } finally {
      span.end();
      stored.close();
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
    const drafts: Draft[] = [];
    const jobs = judged.kind === 'pass' ? await this.#route(record, traceparent, judged, drafts) : [];
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
      return [...this.#stay(record, evaluation, refused, events, now), ...notices];
    }
    const lanes = [...new Set(jobs.map(({ job }) => job.lane))];
    const queued: MessageEvent = { type: 'Queued', id: meta.id, at: now, detail: lanes.join(' '), traceparent };
    events.push(queued);
    this.deps.runtime.log.event(queued);
    const { bounces } = this.deps.config();
    return [
      ...this.deps.store.keepVariants(drafts),
      ...addToLanes(jobs),
      ...(bounces.secret === '' ? [] : this.deps.trails.put(meta, bounces.keep)),
      ...this.deps.store.transition({
        id: meta.id,
        outcomes: refused,
        events,
        jobs: jobs.map(({ job }) => ({ first: job.rcpts[0]?.i ?? 0, lane: job.lane })),
        stage: 'routed',
      }),
      ...notices,
    ];
  }

  /** @param drafts takes the bodies that are to be stored with the verdict. */
  async #route(
    { meta, variants = [] }: MessageRecord,
    traceparent: string,
    { open, forms, findings }: Evaluation,
    drafts: Draft[],
  ): Promise<Awaited<ReturnType<typeof routeMessage>>> {
    const config = this.deps.config();
    const deps = { routes: config.routes, plan: planOf(config), sites: this.deps.sites };
    const tags = findings.tags.length > 0 ? { tags: findings.tags } : {};
    const described = await Promise.all(forms.map((form) => this.#describe(meta, form, drafts)));
    // Whoever ends the message last drops all of it.
    const bodies = [meta.body, ...variants, ...drafts.map(({ ref }) => ref)];
    const jobs = await Promise.all(
      forms.map((form, at) => {
        const leaving = described[at] as LeavingForm;
        const also = bodies.filter(({ variant }) => variant !== leaving.ref.variant);
        const mine = open.filter(({ i }) => form.rcpts.has(i));
        const whole = { ...leaving, ...(also.length > 0 ? { also } : {}) };
        return routeMessage({ ...meta, ...tags, traceparent }, mine, whole, deps);
      }),
    );
    return jobs.flat();
  }

  async #describe(meta: MessageMeta, form: Form, drafts: Draft[]): Promise<LeavingForm> {
    const { prepend, replaced } = form;
    const cut = await form.cut();
    const draft = replaced ? await this.deps.spool.storeVariant(meta.id, replaced) : undefined;
    if (draft) drafts.push(draft);
    return {
      ref: draft?.ref ?? meta.body,
      ...(prepend ? { prepend } : {}),
      ...(cut.length > 0 ? { cut } : {}),
    };
  }

  /** Recipients whom no job carries, and what is put off for longer than a message may take, have failed. */
  #final(
    judged: Evaluation,
    meta: MessageMeta,
    jobs: Awaited<ReturnType<typeof routeMessage>>,
    now: number,
  ): Evaluation {
    const { kind, open, refused, reason } = judged;
    const late = kind === 'defer' && now - meta.receivedAt >= this.deps.config().delivery.max_age;
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
    { meta }: MessageRecord,
    { kind, reason, open }: Evaluation,
    refused: { i: number; status: RecipientStatus }[],
    events: MessageEvent[],
    now: number,
  ): Command[] {
    const { store, queue, config, runtime } = this.deps;
    if (open.length === 0) return store.transition({ id: meta.id, outcomes: refused, events });
    const type = kind === 'hold' ? 'Held' : 'PolicyDefer';
    const event: MessageEvent = { type, id: meta.id, at: now, ...(reason ? { detail: reason } : {}) };
    runtime.log.event(event);
    const all = [...events, event];
    if (kind === 'hold') {
      const held = open.map(({ i }) => ({ i, status: { state: 'held', at: now } as RecipientStatus }));
      return store.transition({ id: meta.id, outcomes: [...refused, ...held], events: all, stage: 'held' });
    }
    const at = now + config().policy.retry;
    return [
      ...store.transition({ id: meta.id, outcomes: refused, events: all }),
      ...queue.add([meta.id], { jobId: `${meta.id}~${now}`, at }),
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

const REFUSALS = { rejected: 'Rejection', suppressed: 'Suppressed', expired: 'Expiration' } as const;
const NONE: ReadonlyMap<string, Suppression> = new Map();
