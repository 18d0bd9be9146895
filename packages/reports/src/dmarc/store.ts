import type { Command, Executor } from '@waypost/redis';
import { dataKey, dueKey, memberOf } from '../keys.js';
import { collectDmarc } from '../scripts/collect-dmarc.js';
import { type ReportSubject, rangeOf } from '../subject.js';
import type { CountedDmarcRow, DmarcRow, PublishedPolicy } from './report.js';

/** Counts are kept this long after their day's end, ms: a report is tried for a day, and an operator may look for longer. */
const KEPT = 4 * 86_400_000;
/** Rows of one domain and day: a botnet has more addresses than anybody reads about. */
const ROWS = 2_000;

/** What a process has counted of a domain's day. */
export interface DmarcCounts {
  readonly policy: PublishedPolicy;
  /** Messages by row in JSON. */
  readonly rows: ReadonlyMap<string, number>;
  readonly unlisted: number;
}

/** @returns the command that adds to a day's counts; nothing is counted where no report is noted. */
export function countDmarc(subject: ReportSubject, { policy, rows, unlisted }: DmarcCounts): Command {
  const expires = rangeOf(subject.day).end + KEPT;
  const keys = [dueKey(subject.kind), dataKey(subject)];
  const args = [...keys, memberOf(subject), expires, ROWS, JSON.stringify(policy), unlisted, ...[...rows].flat()];
  return { name: collectDmarc.name, script: collectDmarc, args };
}

/** @returns the command that drops a day's counts. */
export const forgetDmarc = (subject: ReportSubject): Command => ({ name: 'del', args: [dataKey(subject)] });

/** @returns what was counted of a domain's day, the most frequent first; undefined where nothing was. */
export async function readDmarc(
  executor: Executor,
  subject: ReportSubject,
): Promise<{ policy: PublishedPolicy; rows: CountedDmarcRow[]; unlisted: number } | undefined> {
  const [reply] = await executor.exec([{ name: 'hgetall', args: [dataKey(subject)] }]);
  const fields = new Map(Array.isArray(reply) ? pairs(reply as string[]) : Object.entries((reply ?? {}) as object));
  const policy = fields.get('p');
  if (policy === undefined) return undefined;
  const rows = [...fields]
    .filter(([field]) => field.startsWith('r '))
    .map(([field, count]) => ({ ...(JSON.parse(field.slice(2)) as DmarcRow), count: Number(count) }))
    .sort((a, b) => b.count - a.count || a.sourceIp.localeCompare(b.sourceIp));
  return { policy: JSON.parse(policy) as PublishedPolicy, rows, unlisted: Number(fields.get('more') ?? 0) };
}

const pairs = (list: readonly string[]) =>
  list.flatMap((name, at) => (at % 2 === 0 ? [[name, list[at + 1] ?? ''] as const] : []));
