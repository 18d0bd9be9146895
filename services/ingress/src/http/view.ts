import type { MessageEvent, MessageRecord, RecipientState, RecipientStatus } from '@waypost/mail';

const iso = (time: number | undefined) => (time === undefined ? null : new Date(time).toISOString());
/** Resend's names for what last happened. */
const LAST: Record<RecipientState, string> = {
  accepted: 'queued',
  scheduled: 'scheduled',
  held: 'queued',
  queued: 'queued',
  deferred: 'delivery_delayed',
  unknown: 'delivery_delayed',
  delivered: 'delivered',
  bounced: 'bounced',
  expired: 'bounced',
  rejected: 'failed',
  suppressed: 'suppressed',
  canceled: 'canceled',
};
/** The recipient that fares worst speaks for the message. */
const ORDER: readonly RecipientState[] = [
  ...(['bounced', 'expired', 'rejected', 'suppressed', 'canceled', 'unknown', 'deferred'] as const),
  ...(['held', 'accepted', 'queued', 'scheduled', 'delivered'] as const),
];

/** @returns a message as `GET /v1/emails/{id}` shows it. */
export function emailOf({ meta, recipients: all, added = 0 }: MessageRecord): Record<string, unknown> {
  const { display = {} } = meta;
  const envelope = { ...meta.envelope, recipients: meta.envelope.recipients.slice(0, all.length - added) };
  const recipients = all.slice(0, all.length - added);
  const states = recipients.map(({ state }) => state);
  const worst = ORDER.find((state) => states.includes(state)) ?? 'accepted';
  const heard = recipients.some(({ complaint }) => complaint?.proven)
    ? 'complained'
    : recipients.some(({ lateBounce }) => lateBounce?.proven)
      ? 'bounced'
      : undefined;
  return {
    object: 'email',
    id: meta.id,
    from: meta.headerFrom ?? envelope.sender,
    to: display.to ?? envelope.recipients.map(({ address }) => address),
    cc: display.cc ?? null,
    bcc: display.bcc ?? null,
    reply_to: display.reply_to ?? null,
    subject: meta.subject ?? null,
    html: null,
    text: null,
    created_at: iso(meta.receivedAt),
    scheduled_at: iso(meta.scheduledAt),
    last_event: heard ?? LAST[worst],
    message_id: meta.messageId ?? null,
    ...(meta.tags ? { tags: meta.tags } : {}),
    recipients: envelope.recipients.map(({ address }, at) => {
      const status = recipients[at];
      return {
        address,
        state: status?.state ?? 'accepted',
        attempts: status?.attempts ?? 0,
        last_response: status?.reply ?? null,
        cause: status?.cause ?? null,
        late_bounce: lateBounceOf(status),
        complaint: complaintOf(status),
        remote: status?.remote ?? null,
        next_attempt_at: iso(status?.nextAttemptAt),
      };
    }),
  };
}

function lateBounceOf({ lateBounce }: Partial<RecipientStatus> = {}) {
  if (!lateBounce) return null;
  const { at, cause, hard = false, reply, remote, proven } = lateBounce;
  return { created_at: iso(at), cause, hard, response: reply, remote: remote ?? null, proven };
}

function complaintOf({ complaint }: Partial<RecipientStatus> = {}) {
  return complaint ? { created_at: iso(complaint.at), type: complaint.type, proven: complaint.proven } : null;
}

/** @returns a message's events as `GET /v1/emails/{id}/events` shows them, the oldest first. */
export function eventsOf({ meta, events, added = 0 }: MessageRecord): Record<string, unknown> {
  const { recipients } = meta.envelope;
  const addresses = recipients.slice(0, recipients.length - added).map(({ address }) => address);
  // What becomes of those whom rules added is not the sender's to know.
  const theirs = ({ rcpts }: MessageEvent) => !rcpts || rcpts.some((at) => at < addresses.length);
  const show = (event: MessageEvent) => ({
    type: event.type,
    created_at: iso(event.at),
    recipients: event.rcpts?.flatMap((at) => addresses[at] ?? []) ?? addresses,
    response: event.reply ?? null,
    cause: event.cause ?? null,
    remote: event.remote ?? null,
    attempt: event.attempt ?? null,
    detail: event.detail ?? event.lane ?? null,
  });
  return { object: 'list', data: events.filter(theirs).map(show) };
}
