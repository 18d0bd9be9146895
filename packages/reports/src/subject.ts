import { createHash } from 'node:crypto';

/** The kinds of reports that go out once a day about each domain: TLS-RPT (RFC 8460) and DMARC aggregates (RFC 7489 §7.2). */
export const REPORT_KINDS = ['tls', 'dmarc'] as const;
export type ReportKindName = (typeof REPORT_KINDS)[number];

/** What one report is about. */
export interface ReportSubject {
  readonly kind: ReportKindName;
  /** UTC, `2026-11-25`. */
  readonly day: string;
  /** In lower case, as A-labels. */
  readonly domain: string;
}

const DAY = 86_400_000;
/** What processes still hold of a day is in Redis this long after its end, ms. */
const SETTLED = 600_000;

/** @returns the UTC day of a time, ms since the epoch, as `2026-11-25`. */
export const dayOf = (at: number): string => new Date(at).toISOString().slice(0, 10);

/** @returns where a day starts and ends, ms since the epoch; the end is the start of the next. */
export function rangeOf(day: string): { readonly start: number; readonly end: number } {
  const start = Date.parse(`${day}T00:00:00Z`);
  return { start, end: start + DAY };
}

/**
 * @param window ms over which the reports of a day are spread, so that those who get them are not all written to at once.
 * @returns when a report is to go out, ms since the epoch: for one subject always the same.
 */
export function dueAt({ kind, day, domain }: ReportSubject, window: number): number {
  const hash = createHash('sha256').update(`${kind} ${day} ${domain}`).digest().readUInt32BE(0);
  return rangeOf(day).end + SETTLED + Math.floor((hash / 2 ** 32) * window);
}

/** @returns a report's id, in the form of a Message-ID without brackets: the same at each try. */
export const reportId = ({ day, domain }: ReportSubject, hostname: string) => `${day}.${domain}@${hostname}`;
