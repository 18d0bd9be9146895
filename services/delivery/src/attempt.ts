import { Readable } from 'node:stream';
import type { Config } from '@waypost/config';
import { headerEnd, type LaneJob } from '@waypost/mail';
import type { AttemptContext, Settlement } from '@waypost/queue';
import type { Runtime, Span } from '@waypost/runtime';
import type { LaneTerms } from '@waypost/shaping';
import { BodyMissingError, type Spool } from '@waypost/spool';
import { type Committer, makeNotice } from '@waypost/store';
import { type Settled, settle } from './settle.js';
import { forAll, type LaneTarget, type TargetOutcome } from './target.js';

export interface AttemptDeps {
  readonly runtime: Runtime;
  readonly config: () => Config;
  readonly spool: Spool;
  readonly committer: Committer;
}

/** What came of an attempt. */
export interface Attempted {
  readonly settlement: Settlement;
  /** Absent where nothing was tried. */
  readonly outcome?: TargetOutcome;
}

const NOTHING: Attempted = { settlement: { outcomes: [], events: [] } };

/**
 * One try at a job: get ready, ask the fence, send, and say what came of it.
 * @returns what is to be written; nothing where the job is no longer ours or has nobody left to send to.
 */
export async function attempt(
  job: LaneJob,
  target: LaneTarget,
  context: AttemptContext,
  deps: AttemptDeps & { readonly terms: LaneTerms },
): Promise<Attempted> {
  const started = Date.now();
  const span = startSpan(job, target, context, deps);
  let error: Error | undefined;
  try {
    const outcome = await tryTarget(job, target, context, deps);
    if (!outcome) return NOTHING;
    const now = Date.now();
    const { retry, maxAge } = deps.terms;
    const settings = { ...deps.config().delivery, retry, max_age: maxAge };
    const settled = settle({ job, outcome, attempt: context.attempt + (job.tried ?? 0), now, settings });
    account(job, target, settled, { started, now }, deps.runtime);
    span.set('waypost.outcome', settled.outcomes.map(({ status }) => status.state).join(','));
    return { settlement: await toSettlement(job, settled, outcome, deps), outcome };
  } catch (thrown) {
    error = thrown as Error;
    throw thrown;
  } finally {
    span.end(error);
  }
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

async function tryTarget(
  job: LaneJob,
  target: LaneTarget,
  context: AttemptContext,
  deps: AttemptDeps,
): Promise<TargetOutcome | undefined> {
  const failure = await target.prepare(job);
  const { owned, open } = await context.fence();
  if (!owned || open.length === 0) return undefined;
  if (failure) return { ...failure, results: failure.results.filter(({ i }) => open.includes(i)) };
  try {
    return await target.send({ job, open, body: () => wholeMessage(job, deps.spool) });
  } catch (error) {
    if (!(error instanceof BodyMissingError)) throw error;
    const reply = { code: 554, enhanced: '5.3.0', text: 'The message body is lost; see the operator' };
    deps.runtime.log.error({ id: job.id, lane: job.lane }, 'the body of an accepted message is missing');
    return { results: forAll(job, { result: 'bounced', reply }) };
  }
}

/** The stored message with what policy put before it. */
async function wholeMessage(job: LaneJob, spool: Spool): Promise<Buffer | Readable> {
  const body = await spool.read(job.id, job.ref);
  if (!job.prepend) return body;
  const head = Buffer.from(job.prepend);
  if (Buffer.isBuffer(body)) return Buffer.concat([head, body]);
  return Readable.from(prefixed(head, body), { objectMode: false });
}

async function* prefixed(head: Buffer, body: Readable): AsyncGenerator<Buffer> {
  yield head;
  for await (const chunk of body) yield chunk as Buffer;
}

function account(
  job: LaneJob,
  target: LaneTarget,
  settled: Settled,
  { started, now }: { started: number; now: number },
  { metrics, log }: Runtime,
): void {
  metrics.deliverySeconds.observe({ target: target.kind }, (now - started) / 1000);
  for (const { status } of settled.outcomes) {
    metrics.deliveryAttempts.inc({ target: target.kind, outcome: status.state });
    if (status.state === 'delivered')
      metrics.deliveryAge.observe({ target: target.kind }, (now - job.receivedAt) / 1000);
  }
  for (const event of settled.events) {
    if (event.type === 'OutcomeUnknown') metrics.outcomeUnknown.inc();
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
  const also = [...(outcome.also ?? [])];
  if (notices.length > 0) also.push(...deps.committer.commands(await makeNotices(job, notices, deps)));
  return also.length > 0 ? { ...rest, also } : rest;
}

/** One DSN for each kind of news. */
async function makeNotices(job: LaneJob, notices: Settled['notices'], deps: AttemptDeps) {
  const original = await beginning(job, deps.spool);
  const kinds = [...new Set(notices.map(({ action }) => action))];
  return Promise.all(
    kinds.map((kind) => {
      deps.runtime.metrics.dsns.inc({ action: kind });
      const about = notices.filter(({ action }) => action === kind);
      return makeNotice(deps.spool, deps.config().server.hostname, job, about, original);
    }),
  );
}

const BEGINNING = 65_536;

/** The whole message where it is small, else its beginning with all of the header section. */
async function beginning(job: LaneJob, spool: Spool): Promise<Buffer> {
  const body = await wholeMessage(job, spool).catch(() => Buffer.alloc(0));
  if (Buffer.isBuffer(body)) return body;
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    chunks.push(chunk as Buffer);
    size += (chunk as Buffer).length;
    if (size > BEGINNING && (headerEnd(Buffer.concat(chunks)) >= 0 || size > 16 * BEGINNING)) break;
  }
  return Buffer.concat(chunks);
}
