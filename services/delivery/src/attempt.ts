import type { Config, OnUnknownOutcome } from '@waypost/config';
import type { LaneJob } from '@waypost/mail';
import { type AttemptContext, isRedisTrouble, type Settlement } from '@waypost/queue';
import type { Command } from '@waypost/redis';
import type { Runtime, Span } from '@waypost/runtime';
import type { LaneTerms } from '@waypost/shaping';
import { BodyMissingError, leaving, type Spool } from '@waypost/spool';
import { beginningOf, type Committer, makeNotice, type SuppressionStore, suppressFor } from '@waypost/store';
import { type Settled, settle } from './settle.js';
import { forAll, type LaneTarget, OUR_TROUBLE, type TargetOutcome } from './target.js';

export interface AttemptDeps {
  readonly runtime: Runtime;
  readonly config: () => Config;
  readonly spool: Spool;
  readonly committer: Committer;
  readonly suppressions: SuppressionStore;
}

type TermedDeps = AttemptDeps & { readonly terms: LaneTerms };

/** What came of an attempt. */
export interface Attempted {
  readonly settlement: Settlement;
  /** Absent where nothing was tried. */
  readonly outcome?: TargetOutcome;
}

/**
 * One try at a job: get ready, ask the fence, send, and say what came of it.
 * @returns what is to be written; nothing where the job is no longer ours or has nobody left to send to.
 */
export async function attempt(
  job: LaneJob,
  target: LaneTarget,
  context: AttemptContext,
  deps: TermedDeps,
): Promise<Attempted> {
  const started = Date.now();
  const span = startSpan(job, target, context, deps);
  let error: Error | undefined;
  try {
    const tried = await tryTarget(job, target, context, deps);
    if (!tried) return { settlement: { outcomes: [], events: [], notOurs: true } };
    const { outcome, lastAttemptAt, unknown } = tried;
    const now = Date.now();
    const { retry, maxAge } = deps.terms;
    const settings = { ...deps.config().delivery, retry, max_age: maxAge };
    const unknownOutcome = onUnknown(job, deps);
    const settled = settle({
      ...{ job, outcome, attempt: context.attempt + (job.tried ?? 0), now, settings, unknownOutcome, unknown },
      ...(lastAttemptAt === undefined ? {} : { lastAttemptAt }),
    });
    account(job, target, settled, { started, now, unknownOutcome }, deps.runtime);
    span.set('waypost.outcome', settled.outcomes.map(({ status }) => status.state).join(','));
    return { settlement: await toSettlement(job, settled, outcome, deps), outcome };
  } catch (thrown) {
    error = thrown as Error;
    throw thrown;
  } finally {
    span.end(error);
  }
}

/** A shaping rule knows best, then the tenant. */
function onUnknown({ tenant }: LaneJob, { config, terms }: TermedDeps): OnUnknownOutcome {
  const { unknown_outcome: settings } = config().delivery;
  const ofTenant =
    tenant !== undefined && Object.hasOwn(settings.tenants, tenant) ? settings.tenants[tenant] : undefined;
  return terms.unknownOutcome ?? ofTenant ?? settings.default;
}

function startSpan(job: LaneJob, target: LaneTarget, context: AttemptContext, deps: AttemptDeps): Span {
  const first = context.attempt === 1;
  return deps.runtime.tracer.start('attempt', {
    // Later attempts come hours after the trace; they are linked instead of lengthening it.
    ...(first ? { parent: job.traceparent } : { links: job.traceparent ? [job.traceparent] : [] }),
    kind: 'client',
    attributes: {
      'waypost.service': 'delivery',
      'waypost.lane': job.lane,
      'waypost.target': target.kind,
      'waypost.attempt': context.attempt,
      'messaging.message.id': job.id,
    },
  });
}

interface Tried {
  readonly outcome: TargetOutcome;
  readonly lastAttemptAt: number | undefined;
  /** Recipients that go on waiting for an operator. */
  readonly unknown: readonly number[];
}

async function tryTarget(
  job: LaneJob,
  target: LaneTarget,
  context: AttemptContext,
  deps: TermedDeps,
): Promise<Tried | undefined> {
  const failure = await unlessRedis(job, deps, () => target.prepare(job));
  const { owned, open, unknown: undecided = [], lastAttemptAt } = await context.fence();
  if (!owned) return undefined;
  const over = Date.now() >= job.receivedAt + deps.terms.maxAge;
  const unsettled = over ? undecided.map((i) => ({ i, ...UNSETTLED })) : [];
  const facts = { lastAttemptAt, unknown: over ? [] : undecided };
  const results = (failure?.results ?? []).filter(({ i }) => open.includes(i));
  if (failure || open.length === 0) return { outcome: { ...failure, results: [...results, ...unsettled] }, ...facts };
  const send = () => target.send({ job, open, body: () => wholeMessage(job, deps.spool) });
  const outcome = (await unlessRedis(job, deps, send)) as TargetOutcome;
  if (outcome.error) logTrouble(job, outcome.error, deps);
  const sent = outcome.results.filter(({ i }) => open.includes(i));
  return { outcome: { ...outcome, results: [...sent, ...unsettled] }, ...facts };
}

/** Our own trouble with a message is an outcome too, so that it is on record, tried again as any, and ends some time. */
async function unlessRedis<T>(job: LaneJob, deps: AttemptDeps, work: () => Promise<T>) {
  try {
    return await work();
  } catch (error) {
    if (isRedisTrouble(error)) throw error;
    logTrouble(job, error as Error, deps);
    return { results: forAll(job, error instanceof BodyMissingError ? LOST_BODY : OUR_TROUBLE) };
  }
}

function logTrouble({ id, lane }: LaneJob, error: Error, { runtime }: AttemptDeps): void {
  const missing = error instanceof BodyMissingError;
  const what = missing ? 'the body of an accepted message is missing' : 'an attempt failed here, not at the remote';
  runtime.log.error({ id, lane, error: error.message }, what);
}

/** Nobody has decided what became of it while it could be decided. */
const UNSETTLED = {
  result: 'deferred',
  reply: {
    code: 451,
    enhanced: '4.4.2',
    text: 'The connection was lost after the whole message was sent, so that it may have arrived',
  },
} as const;
const LOST_BODY = {
  result: 'bounced',
  reply: { code: 554, enhanced: '5.3.0', text: 'The message body is lost; see the operator' },
} as const;

/** The stored message as policy lets it leave. */
const wholeMessage = async (job: LaneJob, spool: Spool) => leaving(await spool.read(job.id, job.ref), job);

function account(
  job: LaneJob,
  target: LaneTarget,
  settled: Settled,
  { started, now, unknownOutcome }: { started: number; now: number; unknownOutcome: OnUnknownOutcome },
  { metrics, log }: Runtime,
): void {
  metrics.deliverySeconds.observe({ target: target.kind }, (now - started) / 1000);
  for (const { status } of settled.outcomes) {
    metrics.deliveryAttempts.inc({ target: target.kind, outcome: status.state });
    if (status.state === 'delivered')
      metrics.deliveryAge.observe({ target: target.kind }, (now - job.receivedAt) / 1000);
  }
  for (const event of settled.events) {
    if (event.type === 'OutcomeUnknown') metrics.outcomeUnknown.inc({ policy: unknownOutcome });
    log.event(event);
  }
}

async function toSettlement(
  job: LaneJob,
  settled: Settled,
  outcome: TargetOutcome,
  deps: AttemptDeps,
): Promise<Settlement> {
  const { notices, ...rest } = settled;
  const also = [...(outcome.also ?? []), ...suppressed(job, settled, deps)];
  if (notices.length > 0) also.push(...(await noticeCommands(job, notices, deps)));
  return also.length > 0 ? { ...rest, also } : rest;
}

/** Addresses that do not work are not written to again. Not by mail of others: they may want us to think so. */
function suppressed(job: LaneJob, { outcomes }: Settled, { suppressions, config }: AttemptDeps): Command[] {
  if (job.inbound || job.sender === '') return [];
  return outcomes.flatMap(({ i, status }) => {
    const address = job.rcpts.find((rcpt) => rcpt.i === i)?.to;
    const { cause, hard = false, reply, at } = status;
    if (!address || !cause || status.state !== 'bounced') return [];
    const reason = [reply?.code, reply?.enhanced, reply?.text].filter(Boolean).join(' ');
    const incident = { address, cause, hard, reason, message: job.id, at, tenant: job.tenant };
    return suppressFor(incident, suppressions, config().suppressions);
  });
}

/** What happened to the message is recorded even where its sender cannot be told. */
async function noticeCommands(job: LaneJob, notices: Settled['notices'], deps: AttemptDeps): Promise<Command[]> {
  try {
    return deps.committer.commands(await makeNotices(job, notices, deps), { once: true });
  } catch (error) {
    deps.runtime.log.error({ id: job.id, error: (error as Error).message }, 'a DSN could not be made');
    return [];
  }
}

/** One DSN for each kind of news. */
async function makeNotices(job: LaneJob, notices: Settled['notices'], deps: AttemptDeps) {
  // The report matters more than what it returns.
  const original = await wholeMessage(job, deps.spool)
    .then(beginningOf)
    .catch(() => Buffer.alloc(0));
  const kinds = [...new Set(notices.map(({ action }) => action))];
  return Promise.all(
    kinds.map((kind) => {
      deps.runtime.metrics.dsns.inc({ action: kind });
      const about = notices.filter(({ action }) => action === kind);
      return makeNotice(deps.spool, deps.config().server.hostname, job, about, original);
    }),
  );
}
