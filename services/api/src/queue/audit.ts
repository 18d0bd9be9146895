import type { Command, Executor } from '@waypost/redis';

const STREAM = 'wp:audit';
const KEPT = 10_000;

/** What someone did to the queues. */
export interface AuditEntry {
  /** ISO 8601. */
  readonly at: string;
  /** The API key's id, or `loopback`. */
  readonly by: string;
  readonly action: string;
  /** What it was about: a match, a message, a scope. */
  readonly target: unknown;
  readonly reason?: string;
  /** Messages it changed. */
  readonly changed: number;
}

/** @returns the command that keeps an entry. */
export function audited(entry: AuditEntry): Command {
  return { name: 'xadd', args: [STREAM, 'MAXLEN', '~', KEPT, '*', 'e', JSON.stringify(entry)] };
}

/** @returns the newest entries first. */
export async function readAudit(executor: Executor, count: number): Promise<AuditEntry[]> {
  const [entries] = (await executor.exec([{ name: 'xrevrange', args: [STREAM, '+', '-', 'COUNT', count] }])) as [
    [string, string[]][],
  ];
  return entries.map(([, fields]) => JSON.parse(fields[1] ?? '{}') as AuditEntry);
}
