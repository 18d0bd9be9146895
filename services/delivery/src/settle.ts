import type { Config, OnUnknownOutcome } from '@waypost/config';
import {
  type AttemptFacts,
  type DsnRecipient,
  isGreylisting,
  type JobRecipient,
  type LaneJob,
  type MessageEvent,
  nextAttempt,
  type RecipientStatus,
  statusAfter,
  wantsDsn,
} from '@waypost/mail';
import type { Result, TargetOutcome } from './target.js';

/** What an attempt leads to, before any of it is written. */
export interface Settled {
  readonly outcomes: readonly { readonly i: number; readonly status: RecipientStatus }[];
  readonly events: readonly MessageEvent[];
  readonly retryAt?: number;
  /** What the sender is to be told, by kind of DSN. */
  readonly notices: readonly DsnRecipient[];
}

export interface SettleInput {
  readonly job: LaneJob;
  readonly outcome: TargetOutcome;
  /** 1-based. */
  readonly attempt: number;
  readonly now: number;
  readonly settings: Pick<Config['delivery'], 'retry' | 'max_age' | 'delay_dsn_after'>;
  readonly unknownOutcome: OnUnknownOutcome;
  /** Recipients of the job that an operator is to decide about. */
  readonly unknown?: readonly number[];
  readonly random?: number;
  /** When those recipients were tried before, ms since the epoch; absent for the first time. */
  readonly lastAttemptAt?: number;
}

/** Turns results into states, events, the next attempt and DSNs. Pure, so that every rule can be tried by itself. */
export function settle(input: SettleInput): Settled {
  const { job, outcome, attempt, now, settings } = input;
  const next = nextAttempt(
    settings.retry,
    {
      attempt,
      receivedAt: job.receivedAt,
      maxAge: settings.max_age,
      greylisted: outcome.results.some((one) => one.result === 'deferred' && one.remote && isGreylisting(one.reply)),
    },
    now,
    input.random,
  );
  const byIndex = new Map(job.rcpts.map((rcpt) => [rcpt.i, rcpt]));
  const outcomes: { i: number; status: RecipientStatus }[] = [];
  const notices: DsnRecipient[] = [];
  let retry = false;
  let undecided = (input.unknown ?? []).length > 0;
  const facts: AttemptFacts = {
    at: now,
    attempts: attempt,
    lane: job.lane,
    unknownOutcome: input.unknownOutcome,
    ...(outcome.remote ? { remote: outcome.remote } : {}),
    ...(next === undefined ? {} : { nextAttemptAt: next }),
  };
  for (const result of outcome.results) {
    const rcpt = byIndex.get(result.i);
    if (!rcpt) continue;
    const status = statusAfter(result, facts);
    if (status.state === 'deferred') retry = true;
    if (status.state === 'unknown') undecided = true;
    const delayed = status.state === 'deferred' && delayDue(input, next);
    outcomes.push({ i: result.i, status });
    const notice = toNotice(rcpt, result, status, delayed, input);
    if (notice) notices.push(notice);
  }
  const events = toEvents(outcomes, outcome, input, next);
  // Who waits for an operator keeps the job, until he has waited too long.
  const retryAt = retry ? next : undecided ? job.receivedAt + settings.max_age : undefined;
  return { outcomes, events, notices, ...(retryAt === undefined ? {} : { retryAt }) };
}

/** A delay DSN is sent once: by the attempt after which the set time has passed for the first time. */
function delayDue({ job, now, settings, lastAttemptAt }: SettleInput, next: number | undefined): boolean {
  if (settings.delay_dsn_after === 0 || next === undefined) return false;
  const due = job.receivedAt + settings.delay_dsn_after;
  return now >= due && (lastAttemptAt === undefined || lastAttemptAt < due);
}

function toNotice(
  rcpt: JobRecipient,
  result: Result,
  status: RecipientStatus,
  delayed: boolean,
  { job, outcome, now, settings }: SettleInput,
): DsnRecipient | undefined {
  const action =
    status.state === 'bounced' || status.state === 'expired'
      ? 'failed'
      : status.state === 'delivered' && result.dsn !== 'passed_on'
        ? result.dsn === 'final'
          ? 'delivered'
          : 'relayed'
        : delayed
          ? 'delayed'
          : undefined;
  if (!action || !wantsDsn(action, job.sender, rcpt.notify)) return undefined;
  const expired = {
    code: 550,
    enhanced: '4.4.7',
    text: `Not delivered in time; the last answer was: ${result.reply.text}`,
  };
  return {
    address: rcpt.to,
    action,
    reply: status.state === 'expired' ? expired : result.reply,
    lastAttemptAt: now,
    ...(rcpt.orcpt ? { orcpt: rcpt.orcpt } : {}),
    ...(outcome.remote ? { remote: outcome.remote } : {}),
    ...(action === 'delayed' ? { willRetryUntil: job.receivedAt + settings.max_age } : {}),
  };
}

const TYPES = {
  delivered: 'Delivery',
  bounced: 'Bounce',
  expired: 'Expiration',
  deferred: 'TransientFailure',
} as const;

/** One event for all recipients that fared alike. */
function toEvents(
  outcomes: Settled['outcomes'],
  outcome: TargetOutcome,
  { job, attempt, now }: SettleInput,
  next: number | undefined,
): MessageEvent[] {
  const groups = new Map<string, MessageEvent & { rcpts: number[] }>();
  const unknown = new Set(outcome.results.filter(({ result }) => result === 'unknown').map(({ i }) => i));
  for (const { i, status } of outcomes) {
    const type = unknown.has(i) ? 'OutcomeUnknown' : TYPES[status.state as keyof typeof TYPES];
    const key = `${type} ${status.state} ${status.reply?.code} ${status.reply?.text}`;
    const known = groups.get(key);
    if (known) {
      known.rcpts.push(i);
      continue;
    }
    groups.set(key, {
      type,
      id: job.id,
      at: now,
      rcpts: [i],
      lane: job.lane,
      attempt,
      ...(status.reply ? { reply: status.reply } : {}),
      ...(status.cause ? { cause: status.cause } : {}),
      ...(outcome.remote ? { remote: outcome.remote } : {}),
      ...(status.state === 'deferred' && next !== undefined ? { nextAttemptAt: next } : {}),
      ...(job.traceparent ? { traceparent: job.traceparent } : {}),
    });
  }
  return [...groups.values()];
}
