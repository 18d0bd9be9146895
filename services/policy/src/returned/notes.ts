import type { Report, ReportedRecipient } from '@waypost/bounces';
import { type MessageEvent, type Reply, wantsDsn } from '@waypost/mail';
import type { Incident, Note, Trail } from '@waypost/store';
import type { Finding, Subject } from './findings.js';

/** What a report leads to. */
export interface Consequences {
  readonly notes: readonly Note[];
  readonly incidents: readonly Incident[];
  /** The sender wants to hear of it. */
  readonly forward: boolean;
}

/** Reports that are no complaint of a person about us (RFC 5965 §7.3, RFC 6591, RFC 6430). */
const NO_COMPLAINT: ReadonlySet<string> = new Set(['auth-failure', 'not-spam', 'virus', 'dmarc', 'dkim']);

export interface ReportFacts {
  readonly report: Report;
  readonly subject: Subject;
  readonly findings: readonly Finding[];
  readonly trail: Trail | undefined;
  /** Queue id of the report. */
  readonly reportId: string;
  /** ms since the epoch. */
  readonly now: number;
}

/** Says what follows from a report: pure, so that every rule can be tried by itself. */
export function consequences(facts: ReportFacts): Consequences {
  const { report, findings } = facts;
  if (report.kind === 'feedback') {
    const counts = !NO_COMPLAINT.has(report.feedbackType ?? 'abuse');
    return {
      notes: findings.map((finding) => complaintNote(facts, finding)),
      incidents: counts ? findings.flatMap((finding) => incident(facts, finding)) : [],
      forward: false,
    };
  }
  const failed = findings.filter(({ reported }) => reported.action === 'failed');
  return {
    notes: failed.map((finding) => bounceNote(facts, finding)),
    incidents: failed.flatMap((finding) => incident(facts, finding)),
    forward: facts.subject.proven && findings.some((finding) => isWanted(facts, finding)),
  };
}

function bounceNote({ subject, reportId, now }: ReportFacts, { i, reported }: Finding): Note {
  const { cause, hard, remote } = reported;
  const reply = replyOf(reported);
  const event: MessageEvent = {
    ...eventOf('OOB', subject, i, now),
    reply,
    cause,
    ...(remote ? { remote } : {}),
    detail: detailOf(subject, reportId),
  };
  const lateBounce = {
    at: now,
    cause,
    reply,
    report: reportId,
    proven: subject.proven,
    ...(hard ? { hard } : {}),
    ...(remote ? { remote } : {}),
  };
  return { event, i, lateBounce };
}

function complaintNote({ report, subject, reportId, now }: ReportFacts, { i, reported }: Finding): Note {
  const type = report.feedbackType ?? 'abuse';
  const { remote } = reported;
  const event: MessageEvent = {
    ...eventOf('Feedback', subject, i, now),
    cause: 'feedback',
    ...(remote ? { remote } : {}),
    detail: `${type}, ${detailOf(subject, reportId)}`,
  };
  return { event, i, complaint: { at: now, type, report: reportId, proven: subject.proven } };
}

const eventOf = (type: 'OOB' | 'Feedback', { id }: Subject, i: number | undefined, at: number) => ({
  type,
  id,
  at,
  rcpts: i === undefined ? [] : [i],
});

const detailOf = ({ proven }: Subject, reportId: string) => `${proven ? '' : 'unproven '}report ${reportId}`;

/** What the remote said as a reply; its code is made up where the report has none. */
function replyOf({ code, enhanced, text }: ReportedRecipient): Reply {
  const own = code ?? (enhanced?.startsWith('4') ? 450 : 550);
  return { code: own, text, ...(enhanced ? { enhanced } : {}) };
}

function incident({ trail, now, subject }: ReportFacts, { i, reported, sure }: Finding): Incident[] {
  const address = i === undefined ? undefined : trail?.recipients[i]?.address;
  if (!sure || address === undefined) return [];
  const { cause, hard, code, enhanced, text } = reported;
  const reason = [code, enhanced, text].filter(Boolean).join(' ');
  return [{ address, cause, hard, reason, message: subject.id, at: now, tenant: trail?.tenant }];
}

/** Whether the sender would hear of it if he stood in the reverse-path himself (RFC 3461 §4.1). */
function isWanted({ trail }: ReportFacts, { i, reported }: Finding): boolean {
  if (!trail) return false;
  const notify = i === undefined ? undefined : trail.recipients[i]?.notify;
  if (reported.action === 'delayed') return notify?.includes('DELAY') === true;
  return wantsDsn(reported.action === 'expanded' ? 'delivered' : reported.action, trail.sender, notify);
}
