import { type Config, parseTarget } from '@waypost/config';
import type { MessageRecord } from '@waypost/mail';
import { recordKey } from '@waypost/store';
import express, { type Express, type Request, type Response } from 'express';
import { z } from 'zod';
import { type Action, type ActionDeps, act } from './actions.js';
import { audited, readAudit } from './audit.js';
import { InputError, read } from './input.js';
import { jobsIn, jobsOf, type Progress, type QueuedJob } from './jobs.js';
import { type Match, matchSchema } from './match.js';
import type { Elsewhere } from './reroute.js';
import { allSuspensions, resumeMail, suspendMail, suspendSchema } from './suspensions.js';
import { unknownJobs } from './unknown.js';
import { whyWaiting } from './why.js';

/** Jobs that one request looks at, and messages that one changes. */
const MOST_SEEN = 100_000;
const MOST_CHANGED = 10_000;
const AGES: readonly (readonly [string, number])[] = [
  ['under_5m', 300],
  ['under_1h', 3_600],
  ['under_6h', 21_600],
  ['under_1d', 86_400],
  ['older', Number.POSITIVE_INFINITY],
];

const listQuery = matchSchema.extend({ limit: z.coerce.number().int().min(1).max(1000).default(100) });
const actionBody = z
  .strictObject({
    action: z.enum(['retry', 'cancel', 'bounce', 'reroute', 'settle']),
    match: matchSchema.optional(),
    /** Message ids, instead of a match. */
    ids: z.array(z.uuid()).min(1).max(1000).optional(),
    reason: z.string().max(200).default(''),
    /** For `reroute`: the next hop as a route's `to`, or an egress pool, or both. */
    to: z.string().max(300).optional(),
    pool: z.string().max(100).optional(),
    /** Only says how many it would be. */
    dry_run: z.boolean().default(false),
  })
  .refine(({ match, ids }) => (match === undefined) !== (ids === undefined), 'give either "match" or "ids"')
  .refine(
    ({ match }) => match === undefined || Object.keys(match).length > 0,
    'a match must name something, so that nothing is done to all mail by mistake',
  )
  .refine(
    ({ action, to, pool }) => (action === 'reroute') === (to !== undefined || pool !== undefined),
    '"reroute" needs "to" or "pool", and the others take neither',
  );
const resumeBody = z.strictObject({ scope: z.string().min(1).max(300) });

/** Queue control: what waits and why, and what an operator may do about it. Every change is kept in the audit. */
export function addQueueRoutes(app: Express, deps: ActionDeps): void {
  const { executor, store } = deps;
  // Only JSON is taken: no form of another site can make a browser send it.
  const json = express.json({ limit: 262_144, type: 'application/json' });
  const found = async (request: Request): Promise<MessageRecord> => {
    const id = String(request.params.id);
    const record = /^[0-9a-f-]{36}$/.test(id) ? await store.read(id) : undefined;
    if (!record) throw new InputError(`there is no message ${id}`);
    return record;
  };
  app.get('/admin/v1/queue', async (request, response) => {
    const { limit, ...match } = read(listQuery, request.query);
    const progress = { seen: 0, cut: false };
    const data = [];
    for await (const one of chosenJobs(match, progress, deps)) {
      if (data.length >= limit) {
        progress.cut = true;
        break;
      }
      data.push({ ...show(one), ...(match.status === 'unknown' ? { status: match.status } : {}) });
    }
    response.json({ data, seen: progress.seen, more: progress.cut });
  });
  app.get('/admin/v1/queue/count', async (request, response) => {
    response.json(await count(read(matchSchema, request.query), deps));
  });
  app.get('/admin/v1/queue/suspensions', async (_request, response) => {
    response.json(await allSuspensions(deps));
  });
  app.get('/admin/v1/queue/audit', async (_request, response) => {
    response.json({ data: await readAudit(executor, 200) });
  });
  app.get('/admin/v1/messages/:id/why', async (request, response) => {
    const record = await found(request);
    const waiting = await whyWaiting(record, deps);
    const ended = record.recipients.map(({ state }, at) => ({
      address: record.meta.envelope.recipients[at]?.address,
      state,
    }));
    response.json({ id: record.meta.id, stage: record.stage, waiting, recipients: ended });
  });
  app.get('/admin/v1/messages/:id/trace', async (request, response) => {
    response.json(traceOf(await found(request)));
  });
  app.post('/admin/v1/queue/actions', json, async (request, response) => {
    response.json(await runAction(request, response, deps));
  });
  app.post('/admin/v1/queue/suspend', json, async (request, response) => {
    response.json(await suspendMail(read(suspendSchema, request.body), operator(response), deps));
  });
  app.post('/admin/v1/queue/resume', json, async (request, response) => {
    const { scope } = read(resumeBody, request.body);
    response.json(await resumeMail(scope, operator(response), deps, (match) => recall(match, deps)));
  });
}

/** What happened to a message, in the order of time. */
function traceOf({ meta, stage, events }: MessageRecord) {
  const address = (i: number) => meta.envelope.recipients[i]?.address ?? '';
  const lines = events.map(({ at, type, rcpts, lane, remote, attempt, nextAttemptAt, reply, detail }) => ({
    at: iso(at),
    type,
    recipients: rcpts?.map(address) ?? [],
    ...{ lane, remote, attempt },
    next_attempt_at: nextAttemptAt === undefined ? undefined : iso(nextAttemptAt),
    text: [reply && [reply.code, reply.enhanced, reply.text].filter(Boolean).join(' '), detail]
      .filter(Boolean)
      .join('; '),
  }));
  return { id: meta.id, stage, traceparent: meta.traceparent ?? null, events: lines };
}

/** Tries at once what fits and was put off, all of it. */
async function recall(match: Match, deps: ActionDeps): Promise<number> {
  const progress = { seen: 0, cut: false };
  let count = 0;
  const deferred = jobsIn(deps.executor, { ...match, status: 'deferred' }, progress, Number.POSITIVE_INFINITY);
  const jobs: QueuedJob[] = [];
  for await (const job of deferred) jobs.push(job);
  for (const job of jobs) if (await act({ action: 'retry', reason: '' }, job, deps)) count += 1;
  return count;
}

async function runAction(request: Request, response: Response, deps: ActionDeps) {
  const order = read(actionBody, request.body);
  const { action, match, ids, reason, dry_run } = order;
  checkElsewhere(order, deps.config());
  const progress: Progress = { seen: 0, cut: false };
  const chosen: QueuedJob[] = [];
  const jobs = ids ? ofMessages(ids, deps) : chosenJobs(match as Match, progress, deps);
  const unknown = ids ? ('too' as const) : match?.status === 'unknown' ? ('only' as const) : undefined;
  for await (const one of jobs) {
    if (chosen.length >= MOST_CHANGED) {
      progress.cut = true;
      break;
    }
    if (suits(action, one)) chosen.push(one);
  }
  const messages = new Set<string>();
  let busy = 0;
  for (const one of chosen) {
    if (dry_run || (await act({ ...order, ...(unknown ? { unknown } : {}) }, one, deps))) messages.add(one.job.id);
    else busy += 1;
  }
  const canceled = action === 'cancel' && ids && !dry_run ? await cancelEarly(ids, messages, deps) : 0;
  const changed = messages.size + canceled;
  if (!dry_run) {
    const { to, pool } = order;
    const target = { ...(ids ? { ids } : { match }), to, pool };
    const entry = { at: iso(Date.now()), by: operator(response), action, target, reason, changed };
    await deps.executor.exec([audited(entry)]);
  }
  return { action, dry_run, changed, left_alone: busy, more: progress.cut };
}

function checkElsewhere({ to, pool }: Elsewhere, config: Config): void {
  if (pool !== undefined && !config.egress.pools.some(({ name }) => name === pool)) {
    throw new InputError(`egress.pools has no pool "${pool}"`);
  }
  try {
    if (to !== undefined) parseTarget(to, 'example.com');
  } catch (error) {
    throw new InputError(`to: ${(error as Error).message}`);
  }
}

/** A message that no lane has yet is canceled in its record. */
async function cancelEarly(ids: readonly string[], done: ReadonlySet<string>, { store }: ActionDeps): Promise<number> {
  let count = 0;
  for (const id of ids) if (!done.has(id) && (await store.cancel(id)) === 'canceled') count += 1;
  return count;
}

/** @returns the jobs that fit a match. */
const chosenJobs = (match: Match, progress: Progress, deps: ActionDeps) =>
  match.status === 'unknown'
    ? unknownJobs(deps, match, progress, MOST_SEEN)
    : jobsIn(deps.executor, match, progress, MOST_SEEN);

const suits = (action: Action, { status }: QueuedJob) => (action === 'retry' ? status === 'deferred' : true);

async function* ofMessages(ids: readonly string[], { executor }: ActionDeps): AsyncGenerator<QueuedJob> {
  for (const id of ids) yield* await jobsOf(executor, id, recordKey(id));
}

/** How many messages wait for how long, by lane. */
async function count(match: Match, deps: ActionDeps) {
  const progress = { seen: 0, cut: false };
  const lanes = new Map<string, Record<string, number>>();
  const now = Date.now();
  for await (const { lane, job, status } of chosenJobs(match, progress, deps)) {
    const row =
      lanes.get(lane) ?? Object.fromEntries([...AGES.map(([name]) => [name, 0]), ['deferred', 0], ['total', 0]]);
    const [name] = AGES.find(([, seconds]) => now - job.receivedAt < seconds * 1000) ?? AGES[0] ?? ['older'];
    row[name] = (row[name] ?? 0) + 1;
    if (status === 'deferred') row.deferred = (row.deferred ?? 0) + 1;
    row.total = (row.total ?? 0) + 1;
    lanes.set(lane, row);
  }
  const rows = [...lanes].sort(([, one], [, other]) => (other.total ?? 0) - (one.total ?? 0));
  const data = rows.map(([lane, row]) => ({ lane, ...row }));
  return { data, seen: progress.seen, more: progress.cut };
}

function show({ jobId, lane, status, job, dueAt }: QueuedJob) {
  return {
    id: job.id,
    job: jobId,
    lane,
    status,
    sender: job.sender,
    recipients: job.rcpts.map(({ to }) => to),
    tenant: job.tenant ?? null,
    tags: job.tags ?? [],
    received_at: iso(job.receivedAt),
    next_attempt_at: dueAt === undefined ? null : iso(dueAt),
  };
}

const operator = (response: Response) => String(response.locals.by ?? 'loopback');
const iso = (time: number) => new Date(time).toISOString();
