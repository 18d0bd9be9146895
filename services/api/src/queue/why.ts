import type { Config } from '@waypost/config';
import { isTerminal, type LaneJob, type MessageRecord, type RecipientStatus } from '@waypost/mail';
import {
  type Answer,
  ask,
  holdOf,
  laneQueue,
  listSuspensions,
  parseAnswer,
  readMailHolds,
  readSlowed,
  SLOWED_LIMIT,
  type Slowed,
  type Suspension,
  withSlowed,
} from '@waypost/queue';
import type { Executor } from '@waypost/redis';
import { planOf } from '@waypost/shaping';
import { type MessageStore, recordKey } from '@waypost/store';
import { jobsOf, type QueuedJob } from './jobs.js';
import { isOpen } from './open.js';
import { unknownOf } from './unknown.js';

/** What keeps a message, or some recipients of it, from being sent this moment. */
export interface Waiting {
  /**
   * scheduled, policy, held: before the lanes · retry: after a refusal for now · suspended, probing: nothing goes there now ·
   * unknown: an operator is to say what became of it · connections, rate: a limit is used up · sending: it is being tried · ready: its turn comes · unrouted: nobody has it, and the
   * reconciler will see to it.
   */
  readonly kind:
    | ('scheduled' | 'policy' | 'held' | 'retry' | 'suspended' | 'probing')
    | 'unknown'
    | ('connections' | 'rate' | 'sending' | 'ready' | 'unrouted');
  readonly recipients: readonly string[];
  /** A sentence that says it all. */
  readonly text: string;
  readonly lane?: string;
  /** The limit or scope in force. */
  readonly limit?: string;
  /** Jobs before it in its lane. */
  readonly ahead?: number;
  /** What was answered last. */
  readonly last_response?: RecipientStatus['reply'];
  /** ISO 8601; absent where it depends on others. */
  readonly next_attempt_at?: string;
}

export interface WhyDeps {
  readonly executor: Executor;
  readonly store: MessageStore;
  readonly config: () => Config;
}

/** @returns why a message waits: one entry for each group of recipients that wait for the same; none where all have ended. */
export async function whyWaiting(record: MessageRecord, deps: WhyDeps): Promise<Waiting[]> {
  const { meta, stage } = record;
  const open = record.recipients.flatMap(({ state }, i) => (isTerminal(state) ? [] : [i]));
  if (open.length === 0) return [];
  const named = (indexes: readonly number[]) => indexes.map((i) => meta.envelope.recipients[i]?.address ?? '');
  const all = { recipients: named(open) };
  if (stage === 'scheduled') {
    const at = iso(meta.scheduledAt ?? meta.receivedAt);
    return [{ kind: 'scheduled', ...all, text: `It is to be sent at ${at}.`, next_attempt_at: at }];
  }
  if (stage === 'accepted') return [{ kind: 'policy', ...all, text: 'It waits for the policy stage to judge it.' }];
  if (stage === 'held') return [{ kind: 'held', ...all, text: 'Policy holds it until someone releases it.' }];
  const jobs = await jobsOf(deps.executor, meta.id, recordKey(meta.id));
  const answers = (await Promise.all(jobs.map((job) => whyJob(job, record, named, deps)))).flat();
  const covered = new Set(jobs.flatMap(({ job }) => job.rcpts.map(({ i }) => i)));
  const lost = open.filter((i) => !covered.has(i));
  if (lost.length === 0) return answers;
  const text = 'It is in no queue; the reconciler puts it back on its way at its next pass.';
  return [...answers, { kind: 'unrouted', recipients: named(lost), text }];
}

async function whyJob(
  queued: QueuedJob,
  record: MessageRecord,
  named: (indexes: readonly number[]) => string[],
  deps: WhyDeps,
): Promise<Waiting[]> {
  const { job, lane } = queued;
  const unknown = unknownOf(job, record);
  const open = job.rcpts.map(({ i }) => i).filter((i) => isOpen(record, i) && !unknown.includes(i));
  const answers = open.length > 0 ? [await whyOpen(queued, open, record, named, deps)] : [];
  if (unknown.length === 0) return answers;
  return [whyUnknown(job, lane, record.recipients[unknown[0] ?? 0], named(unknown), deps), ...answers];
}

/** The next hop may have it. */
function whyUnknown(
  job: LaneJob,
  lane: string,
  last: RecipientStatus | undefined,
  recipients: readonly string[],
  { config }: WhyDeps,
): Waiting {
  const expires = iso(job.receivedAt + planOf(config()).terms(lane).maxAge);
  const text =
    `The connection to ${last?.remote ?? 'the next hop'} ended after the whole message was sent and before it was answered: it may ` +
    `have arrived. An operator decides: retry, settle, bounce or cancel. It expires at ${expires}.`;
  return { kind: 'unknown', recipients, lane, ...(last?.reply ? { last_response: last.reply } : {}), text };
}

async function whyOpen(
  queued: QueuedJob,
  open: readonly number[],
  record: MessageRecord,
  named: (indexes: readonly number[]) => string[],
  deps: WhyDeps,
): Promise<Waiting> {
  const { job, lane, status, dueAt } = queued;
  const last = record.recipients[open[0] ?? 0]?.reply;
  const common = { recipients: named(open), lane, ...(last ? { last_response: last } : {}) };
  if (status === 'active') {
    const owner = await ownerOf(queued, deps.executor);
    return { kind: 'sending', ...common, text: `It is being sent now, by ${owner}.` };
  }
  const hold = holdOf(await readMailHolds(deps.executor), job, Date.now());
  if (hold) {
    const till = iso(hold.till);
    const text = `Mail of this kind (${hold.id}) is suspended until ${till} by ${hold.by}: ${hold.reason}`;
    return { kind: 'suspended', ...common, limit: hold.id, text, next_attempt_at: till };
  }
  if (status === 'deferred' && dueAt !== undefined && dueAt > Date.now()) {
    const attempts = record.recipients[open[0] ?? 0]?.attempts ?? 0;
    const said = last ? `: ${last.code} ${last.text}` : '';
    const text = `Attempt ${attempts} was answered for now${said}. It is tried again at ${iso(dueAt)}.`;
    return { kind: 'retry', ...common, text, next_attempt_at: iso(dueAt) };
  }
  const slowed = await readSlowed(deps.executor);
  const [answer, suspensions, ahead] = await Promise.all([
    askDry(lane, slowed, deps),
    listSuspensions(deps.executor),
    countAhead(queued, deps.executor),
  ]);
  return { ...common, ahead, ...explain(answer, { suspensions, slowed }, lane, ahead) };
}

/** Asks for a lease as a session would, without taking it. */
async function askDry(
  lane: string,
  slowed: ReadonlyMap<string, Slowed>,
  { config, executor }: WhyDeps,
): Promise<Answer> {
  const offers = planOf(config())
    .terms(lane)
    .offers.map(({ offer }) => withSlowed(offer, slowed));
  const [reply] = await executor.exec([ask({ lane, holder: 'why', want: 1, offers, lease: true, dry: true })]);
  return parseAnswer(reply);
}

function explain(
  { offer, reason, key, wait }: Answer,
  { suspensions, slowed }: { suspensions: readonly Suspension[]; slowed: ReadonlyMap<string, Slowed> },
  lane: string,
  ahead: number,
): Pick<Waiting, 'kind' | 'text' | 'limit' | 'next_attempt_at'> {
  const at = iso(Date.now() + wait);
  const before = ahead === 0 ? 'It is the next one' : `${ahead} are before it`;
  if (offer !== 0) return { kind: 'ready', text: `${before} in the lane ${lane}, and nothing holds the lane back.` };
  const hold = suspensions.find(({ scope }) => scope === key);
  if (reason === 'suspended') {
    const why = hold ? `by ${hold.by}: ${hold.reason}` : '';
    return {
      kind: 'suspended',
      limit: key,
      text: `${key} is suspended until ${at} ${why}`.trim(),
      next_attempt_at: at,
    };
  }
  if (reason === 'probing') {
    const text = `A suspension of ${key} has ended, and one message goes first to see whether it may stay so.`;
    return { kind: 'probing', limit: key, text, next_attempt_at: at };
  }
  const slow = key.startsWith(SLOWED_LIMIT) ? slowed.get(key.slice(SLOWED_LIMIT.length)) : undefined;
  const since = slow ? ` It is slowed until ${iso(slow.till)}: ${slow.reason}` : '';
  if (reason === 'rate') {
    const text = `The rate of ${key} is used up; there is room again at ${at}. ${before} in the lane.${since}`;
    return { kind: 'rate', limit: key, text, next_attempt_at: at };
  }
  const text = `All connections that ${key} may have are in use, and go on with this lane. ${before}.${since}`;
  return { kind: 'connections', limit: key, text };
}

async function ownerOf({ lane, jobId }: QueuedJob, executor: Executor): Promise<string> {
  const [owner] = (await executor.exec([laneQueue(lane).owner(jobId)])) as [string | null];
  return owner?.split('#')[0] ?? 'a process';
}

async function countAhead({ lane, jobId, status }: QueuedJob, executor: Executor): Promise<number> {
  if (status !== 'waiting') return 0;
  const queue = laneQueue(lane);
  // Jobs are taken from the right end.
  const [place] = (await executor.exec([{ name: 'lpos', args: [queue.key('wait'), jobId, 'RANK', -1] }])) as [
    number | null,
  ];
  const [length] = (await executor.exec([{ name: 'llen', args: [queue.key('wait')] }])) as [number];
  return place === null ? 0 : Math.max(0, length - 1 - place);
}

const iso = (time: number) => new Date(time).toISOString();
