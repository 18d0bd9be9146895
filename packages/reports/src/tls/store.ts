import { createHash } from 'node:crypto';
import type { Command, Executor } from '@waypost/redis';
import type { TlsPolicy } from '@waypost/transport-security';
import { dataKey, dueKey, memberOf } from '../keys.js';
import { collectTls } from '../scripts/collect-tls.js';
import { type ReportSubject, rangeOf } from '../subject.js';
import type { TlsFailureDetail, TlsPolicySummary } from './report.js';

/** Counts are kept this long after their day's end, ms: a report is tried for a day, and an operator may look for longer. */
const KEPT = 4 * 86_400_000;
/** Policies of one domain and day, and fields of its record: what it changes to in a day must not fill Redis. */
const POLICIES = 20;
const FIELDS = 500;

/** @returns the command that adds to a day's counts; nothing is counted where no report is noted. */
export function countTls(subject: ReportSubject, { policy, successes, failures }: TlsPolicySummary): Command {
  const json = JSON.stringify(policy);
  const name = createHash('sha256').update(json).digest('base64url').slice(0, 16);
  const details = failures.flatMap(({ count, ...detail }) => [
    JSON.stringify(detail),
    JSON.stringify({ type: detail.type }),
    count,
  ]);
  const expires = rangeOf(subject.day).end + KEPT;
  const limits = [memberOf(subject), expires, POLICIES, FIELDS];
  const args = [dueKey(subject.kind), dataKey(subject), ...limits, name, json, successes, ...details];
  return { name: collectTls.name, script: collectTls, args };
}

/** @returns the command that drops a day's counts. */
export const forgetTls = (subject: ReportSubject): Command => ({ name: 'del', args: [dataKey(subject)] });

/** @returns what was counted of a domain's day, a summary for each policy that was in force; none where nothing was. */
export async function readTls(executor: Executor, subject: ReportSubject): Promise<TlsPolicySummary[]> {
  const [reply] = await executor.exec([{ name: 'hgetall', args: [dataKey(subject)] }]);
  const fields = (Array.isArray(reply) ? pairs(reply as string[]) : Object.entries(reply ?? {})) as [string, string][];
  const found = new Map<string, { policy: TlsPolicy; successes: number; failures: TlsFailureDetail[] }>();
  for (const [field, value] of fields) {
    if (field.startsWith('p ')) found.set(field.slice(2), { policy: JSON.parse(value), successes: 0, failures: [] });
  }
  for (const [field, value] of fields) {
    const [kind, name = ''] = field.split(' ', 2);
    const summary = found.get(name);
    if (!summary) continue;
    if (kind === 's') summary.successes = Number(value);
    if (kind === 'f') summary.failures.push({ ...JSON.parse(field.slice(name.length + 3)), count: Number(value) });
  }
  const sorted = [...found.values()].sort((a, b) => order(a.policy).localeCompare(order(b.policy)));
  for (const { failures } of sorted) failures.sort((a, b) => b.count - a.count);
  return sorted;
}

const order = ({ type, domain }: TlsPolicy) => `${type === 'no-policy-found' ? 'z' : type} ${domain}`;

const pairs = (list: readonly string[]) =>
  list.flatMap((name, at) => (at % 2 === 0 ? [[name, list[at + 1] ?? ''] as const] : []));
