import type { ReportKindName, ReportSubject } from './subject.js';

/** Told of reports that an operator wants out now. */
export const WAKE_REPORTS = 'wp:wake:reports';

/** What is kept of a report outlives any try to send it, ms. */
export const KEPT = 8 * 86_400_000;

/**
 * Sorted set of `day domain` by when the report is due, ms since the epoch; while one is being sent, by when its sender counts
 * as dead.
 */
export const dueKey = (kind: ReportKindName) => `wp:{reports-${kind}}:due`;
/** Hash of how far a report is: its sender's token, tries, and a field for each place that has it. */
export const progressKey = (subject: ReportSubject) => progressPrefix(subject.kind) + memberOf(subject);
export const progressPrefix = (kind: ReportKindName) => `wp:{reports-${kind}}:at:`;
/** Set of the domains whose report of a day is done with. */
export const overKey = (kind: ReportKindName, day: string) => `wp:{reports-${kind}}:over:${day}`;

/** Hash of what was counted. */
export const dataKey = (subject: ReportSubject) => `wp:{reports-${subject.kind}}:data:${memberOf(subject)}`;

export const memberOf = ({ day, domain }: ReportSubject) => `${day} ${domain}`;

export function subjectOf(kind: ReportKindName, member: string): ReportSubject {
  return { kind, day: member.slice(0, 10), domain: member.slice(11) };
}
