import { addressesIn, addressIn } from './addresses.js';
import { untyped } from './fields.js';
import type { Original } from './original.js';
import type { Report, ReportedRecipient } from './report.js';

/** Fields of a feedback report that name who complained, surest first; some come once for each recipient (RFC 5965 §3.2). */
const WHO = ['original-rcpt-to', 'removal-recipient', 'x-original-rcpt-to', 'original-recipient'];

/**
 * Reads a complaint (RFC 5965).
 * @param fields the feedback-report part.
 * @param original what it returns; its header tells the recipient where the report hides him.
 */
export function readFeedback(fields: string, original: Original): Report {
  const lines = fields.replace(/\r?\n[ \t]+/g, ' ').split(/\r?\n/);
  const values = (name: string) =>
    lines.flatMap((line) => (line.toLowerCase().startsWith(`${name}:`) ? [line.slice(name.length + 1).trim()] : []));
  const feedbackType = values('feedback-type')[0]?.toLowerCase() ?? 'abuse';
  const named = WHO.map((name) => values(name).flatMap((value) => addressIn(untyped(value)) ?? [])).find(
    (found) => found.length > 0,
  );
  const remote = values('reporting-mta').map(untyped)[0];
  const report = complaint(feedbackType, named ?? original.to.slice(0, 1), original.messageId, remote);
  const marks = values('original-mail-from').map((value) => value.slice(0, 1_000));
  return marks.length > 0 ? { ...report, marks } : report;
}

/** @returns what Amazon SES says over SNS as JSON, undefined where the text is something else. */
export function readNotification(text: string): Report | undefined {
  const start = text.indexOf('{');
  if (start < 0 || !/"(?:notificationType|eventType)"/.test(text)) return undefined;
  const message = parse(text.slice(start, text.lastIndexOf('}') + 1));
  const inner = typeof message?.Message === 'string' ? parse(message.Message) : message;
  const about = (inner?.complaint ?? undefined) as { complainedRecipients?: unknown; complaintFeedbackType?: unknown };
  if (!about || !Array.isArray(about.complainedRecipients)) return undefined;
  const who = about.complainedRecipients.flatMap((one) =>
    addressesIn(String((one as { emailAddress?: unknown }).emailAddress)),
  );
  return complaint(String(about.complaintFeedbackType ?? 'abuse'), who, undefined, undefined);
}

/** @returns the recipients of a bounce that Amazon SES tells as JSON. */
export function readBounceNotification(text: string): readonly { recipient: string; status?: string; text: string }[] {
  const start = text.indexOf('{');
  if (start < 0 || !/"(?:notificationType|eventType)"/.test(text)) return [];
  const message = parse(text.slice(start, text.lastIndexOf('}') + 1));
  const inner = typeof message?.Message === 'string' ? parse(message.Message) : message;
  const { bouncedRecipients } = (inner?.bounce ?? {}) as { bouncedRecipients?: unknown };
  if (!Array.isArray(bouncedRecipients)) return deliveredIn(inner);
  return bouncedRecipients.flatMap((one) => {
    const { emailAddress, status, diagnosticCode } = (one ?? {}) as Record<string, unknown>;
    const recipient = addressIn(String(emailAddress));
    if (!recipient) return [];
    return [{ recipient, text: String(diagnosticCode ?? ''), ...(typeof status === 'string' ? { status } : {}) }];
  });
}

function deliveredIn(message: Record<string, unknown> | undefined) {
  const { recipients, smtpResponse } = (message?.delivery ?? {}) as { recipients?: unknown; smtpResponse?: unknown };
  if (!Array.isArray(recipients)) return [];
  return recipients.flatMap((one) => {
    const recipient = addressIn(String(one));
    return recipient ? [{ recipient, status: '2.0.0', text: String(smtpResponse ?? '') }] : [];
  });
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    // A mailer may have folded long lines.
    const value = JSON.parse(text.replace(/\r?\n/g, '')) as unknown;
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function complaint(
  feedbackType: string,
  who: readonly string[],
  originalMessageId: string | undefined,
  remote: string | undefined,
): Report {
  const recipients = who.map(
    (recipient): ReportedRecipient => ({
      recipient,
      action: 'delivered',
      text: `the recipient complained: ${feedbackType}`,
      cause: 'feedback',
      hard: false,
      ...(remote ? { remote } : {}),
    }),
  );
  return { kind: 'feedback', recipients, feedbackType, ...(originalMessageId ? { originalMessageId } : {}) };
}
