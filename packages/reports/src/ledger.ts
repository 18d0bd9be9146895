import { randomUUID } from 'node:crypto';
import type { Command, Executor } from '@waypost/redis';
import { dueKey, KEPT, memberOf, overKey, progressKey, progressPrefix, subjectOf, WAKE_REPORTS } from './keys.js';
import { claimReport } from './scripts/claim.js';
import { hurryReport } from './scripts/hurry.js';
import { noteReport } from './scripts/note.js';
import { settleReport } from './scripts/settle.js';
import { type ReportKindName, type ReportSubject, rangeOf } from './subject.js';

/** Reports of a kind that may wait; what a year of days and domains could pile up must not fill Redis. */
const PENDING_MAX = 200_000;

/** A report that this process is to send. */
export interface ReportClaim {
  readonly subject: ReportSubject;
  readonly token: string;
  /** 1 at the first. */
  readonly tries: number;
  /** When it was tried first, ms since the epoch. */
  readonly since: number;
  /** The places that have it already. */
  readonly reached: ReadonlySet<string>;
}

/** A report that waits, as an operator sees it. */
export interface PendingReport {
  readonly subject: ReportSubject;
  /** ms since the epoch. */
  readonly due: number;
  readonly tries: number;
  readonly sending: boolean;
  readonly reached: readonly string[];
  readonly error?: string;
}

/**
 * @param due ms since the epoch, from `dueAt`.
 * @returns the command that notes a report to be made; its reply is 0 where the report is not to be made (any more).
 */
export function noteDue(subject: ReportSubject, due: number): Command {
  const keys = [dueKey(subject.kind), overKey(subject.kind, subject.day)];
  return {
    name: noteReport.name,
    script: noteReport,
    args: [...keys, memberOf(subject), subject.domain, due, PENDING_MAX],
  };
}

/** @returns the command that records, with whatever hands it over, that a place has the report. */
export const noteReached = (subject: ReportSubject, place: string): Command => ({
  name: 'hset',
  args: [progressKey(subject), `to ${place}`, '1'],
});

/**
 * Which reports are to go out, and who is at which. A report is one process's at a time; one whose process dies is another's
 * once the lease is over. What a place has is recorded with handing it over, so that it does not get it again.
 */
export class ReportLedger {
  /** @param lease how long a sender may be silent, ms. */
  constructor(
    private readonly executor: Executor,
    readonly lease = 30_000,
  ) {}

  /** @returns a report that is due and is ours now, or when the next one is, ms since the epoch; nothing where none waits. */
  async claim(kind: ReportKindName): Promise<ReportClaim | number | undefined> {
    const token = randomUUID();
    const args = [dueKey(kind), progressPrefix(kind), token, this.lease, KEPT];
    const [reply] = await this.executor.exec([{ name: claimReport.name, script: claimReport, args }]);
    const [member = '', second = '', since, ...reached] = reply as (string | number)[];
    if (member === '') return second === '' ? undefined : Number(second);
    return {
      subject: subjectOf(kind, String(member)),
      token,
      tries: Number(second),
      since: Number(since),
      reached: new Set(reached.map(String)),
    };
  }

  /** Says that its sender is still at it. @returns false where another one has it now. */
  async renew(claim: ReportClaim): Promise<boolean> {
    return (await this.#settle(claim, { after: this.lease, keep: true })) === 1;
  }

  /** @param after ms. */
  async retry(claim: ReportClaim, after: number, error: string): Promise<void> {
    await this.#settle(claim, { after, error: error.slice(0, 300) });
  }

  /** @param forget commands that drop what the report was made from. */
  async finish(claim: ReportClaim, forget: readonly Command[] = []): Promise<void> {
    await this.#settle(claim, {}, forget);
  }

  /** @returns the reports that wait, soonest first. */
  async pending(kind: ReportKindName, limit = 1000): Promise<PendingReport[]> {
    const range = { name: 'zrange', args: [dueKey(kind), 0, limit - 1, 'WITHSCORES'] };
    const [list] = (await this.executor.exec([range])) as [string[]];
    const members = list.filter((_, at) => at % 2 === 0);
    if (members.length === 0) return [];
    const subjects = members.map((member) => subjectOf(kind, member));
    const reads = subjects.map((subject) => ({ name: 'hgetall', args: [progressKey(subject)] }));
    const replies = await this.executor.exec(reads);
    return subjects.map((subject, at) => toPending(subject, Number(list[at * 2 + 1]), toFields(replies[at])));
  }

  /** @returns how many wait. */
  async count(kind: ReportKindName): Promise<number> {
    const [count] = await this.executor.exec([{ name: 'zcard', args: [dueKey(kind)] }]);
    return Number(count);
  }

  /**
   * Lets a report go out now; a day has to be over for that.
   * @returns what became of the wish.
   */
  async hurry(subject: ReportSubject, now = Date.now()): Promise<'due' | 'unknown' | 'sending' | 'not_over'> {
    if (rangeOf(subject.day).end > now) return 'not_over';
    const args = [dueKey(subject.kind), progressKey(subject), memberOf(subject)];
    const [reply] = await this.executor.exec([
      { name: hurryReport.name, script: hurryReport, args },
      { name: 'publish', args: [WAKE_REPORTS, subject.kind] },
    ]);
    return reply === 1 ? 'due' : reply === 0 ? 'unknown' : 'sending';
  }

  async #settle(
    { subject, token }: ReportClaim,
    { after, error = '', keep = false }: { after?: number; error?: string; keep?: boolean },
    also: readonly Command[] = [],
  ): Promise<number> {
    const keys = [dueKey(subject.kind), progressKey(subject), overKey(subject.kind, subject.day)];
    const args = [...keys, token, memberOf(subject), subject.domain, after ?? '', error, keep ? 1 : 0, KEPT];
    const [reply] = await this.executor.exec([{ name: settleReport.name, script: settleReport, args }, ...also]);
    return Number(reply);
  }
}

function toFields(reply: unknown): Map<string, string> {
  if (!Array.isArray(reply)) return new Map(Object.entries((reply ?? {}) as Record<string, string>));
  const list = reply as string[];
  return new Map(list.flatMap((name, at) => (at % 2 === 0 ? [[name, list[at + 1] ?? ''] as const] : [])));
}

function toPending(subject: ReportSubject, due: number, fields: Map<string, string>): PendingReport {
  const error = fields.get('error');
  return {
    subject,
    due,
    tries: Number(fields.get('tries') ?? 0),
    sending: fields.has('token'),
    reached: [...fields.keys()].filter((name) => name.startsWith('to ')).map((name) => name.slice(3)),
    ...(error ? { error } : {}),
  };
}
