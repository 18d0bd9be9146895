import {
  type BodyRef,
  type Complaint,
  isTerminal,
  type Judgement,
  type LaneJob,
  type LateBounce,
  type MessageEvent,
  type MessageMeta,
  type MessageRecord,
  type Recipient,
  type RecipientStatus,
} from '@waypost/mail';
import type { JobProgress, LaneLedger, Settlement } from '@waypost/queue';
import type { Command, Executor } from '@waypost/redis';
import { bodyKey, type Draft } from '@waypost/spool';
import { EVENT_STREAM, EVENTS_KEPT, publishEvents } from './events.js';
import { noteHeld } from './held-index.js';
import {
  decodeRecord,
  decodeStatus,
  encodeStatus,
  eventField,
  jobField,
  noteFields,
  parseVariants,
  recipientField,
  recordKey,
  toHash,
  variantText,
} from './record.js';
import { addRecipientsScript } from './scripts/add-recipients.js';
import { cancelScript } from './scripts/cancel.js';
import { keepVariantScript } from './scripts/keep-variant.js';
import { noteScript } from './scripts/note.js';
import { settleScript } from './scripts/settle.js';

/** What changes of a message in one step. */
export interface Transition {
  readonly id: string;
  readonly outcomes: readonly { readonly i: number; readonly status: RecipientStatus }[];
  readonly events: readonly MessageEvent[];
  /** Jobs that went into a lane, by their first recipient; '' for one that is over. */
  readonly jobs?: readonly { readonly first: number; readonly lane: string }[];
  /** Further fields of the record by name, '' for one that goes. */
  readonly fields?: Readonly<Record<string, string>>;
  /** The message's new stage, unless this step ends it. */
  readonly stage?: MessageRecord['stage'];
}

/** What a report says of a message. */
export interface Note {
  readonly event: MessageEvent;
  /** The recipient, where it is known which. */
  readonly i?: number | undefined;
  readonly lateBounce?: LateBounce;
  readonly complaint?: Complaint;
}

/** Messages with recipients whose outcome is unknown, by since when. */
export const UNKNOWN_OUTCOMES = 'wp:unknown';
/** Reports on one recipient that are noted: whoever has a token may send any number. */
const NOTES_MAX = 20;

/** The message records (see record.ts for their form). */
export class MessageStore implements LaneLedger {
  /**
   * @param retention how long a record is kept once all recipients are terminal, ms.
   * @param onEnded told of a message whose last recipient became terminal: its bodies are not needed any more.
   */
  constructor(
    private readonly executor: Executor,
    private readonly retention: number,
    private readonly onEnded: (id: string, ...bodies: readonly BodyRef[]) => void = () => undefined,
  ) {}

  async read(id: string): Promise<MessageRecord | undefined> {
    return (await this.readMany([id]))[0];
  }

  /** Reads several records in one round trip, in order. */
  async readMany(ids: readonly string[]): Promise<(MessageRecord | undefined)[]> {
    const replies = await this.executor.exec(ids.map((id) => ({ name: 'hgetall', args: [recordKey(id)] })));
    return replies.map((reply) => decodeRecord(toHash(reply)));
  }

  /** @returns the commands that record a transition; idempotent. */
  transition({ id, outcomes, events, jobs = [], fields = {}, stage }: Transition): Command[] {
    const set = [...jobs.map(({ first, lane }) => [jobField(first), lane] as const), ...Object.entries(fields)];
    if (outcomes.length + events.length + set.length === 0 && !stage) return [];
    const args: (string | number)[] = [recordKey(id), bodyKey(id), UNKNOWN_OUTCOMES, this.retention, stage ?? ''];
    args.push(events.length, set.length, id, Date.now());
    for (const event of events) args.push(eventField(event), JSON.stringify(event));
    for (const [field, value] of set) args.push(field, value);
    for (const { i, status } of outcomes) args.push(recipientField(i), encodeStatus(status));
    return [{ name: settleScript.name, script: settleScript, args }, ...publishEvents(events)];
  }

  /** @returns the commands that keep other forms of a message, until it ends; idempotent. */
  keepVariants(variants: readonly Draft[]): Command[] {
    return variants.map(({ id, ref, inline }) => ({
      name: keepVariantScript.name,
      script: keepVariantScript,
      args: [recordKey(id), bodyKey(id, ref.variant), variantText(ref), inline ?? ''],
    }));
  }

  /**
   * @param report queue id of the report, which must not have ended yet: the command goes before its end in one transaction.
   * @returns the command that notes what it says; its reply is 1 where that was new.
   */
  note(report: string, { event, i, lateBounce, complaint }: Note): Command {
    const fields = noteFields(i);
    const field = lateBounce ? fields.bounce : complaint ? fields.complaint : '';
    const keys = [recordKey(event.id), recordKey(report), EVENT_STREAM];
    const args = [eventField(event), JSON.stringify(event), EVENTS_KEPT];
    const note = [field, JSON.stringify(lateBounce ?? complaint ?? null), fields.count, NOTES_MAX];
    return { name: noteScript.name, script: noteScript, args: [...keys, ...args, ...note] };
  }

  /**
   * @param judgement how far policy is, with why it is held.
   * @returns the commands that hold what is open of a message; idempotent.
   */
  hold(
    record: MessageRecord,
    judgement: Judgement,
    { refused, events }: { readonly refused: Transition['outcomes']; readonly events: readonly MessageEvent[] },
  ): Command[] {
    const { hold, ...rest } = judgement;
    const { id, envelope } = record.meta;
    const gone = new Set(refused.map(({ i }) => i));
    const status: RecipientStatus = { state: 'held', at: hold?.since ?? Date.now() };
    const held = envelope.recipients.flatMap((_, i) => (gone.has(i) ? [] : [{ i, status }]));
    return [
      ...this.transition({
        id,
        outcomes: [...refused, ...held],
        events,
        fields: { judged: JSON.stringify({ ...rest, hold }), found: JSON.stringify(judgement.findings.symbols) },
        stage: 'held',
      }),
      noteHeld(id, hold?.until ?? 0),
    ];
  }

  /**
   * @param recipients all that rules have added to a message, in their order; those that are on record are not added again.
   * @returns the commands that give them states of their own, unless the message has ended.
   */
  addRecipients(id: string, recipients: readonly Recipient[]): Command[] {
    if (recipients.length === 0) return [];
    const args = [recordKey(id), JSON.stringify(recipients), recipients.length];
    return [{ name: addRecipientsScript.name, script: addRecipientsScript, args }];
  }

  settle(job: LaneJob, settlement: Settlement): Command[] {
    const { outcomes, events, also = [], movedTo, retryAt, notOurs } = settlement;
    const first = job.rcpts[0]?.i ?? 0;
    const jobs = retryAt === undefined && !notOurs ? [{ first, lane: movedTo ?? '' }] : [];
    return [...this.transition({ id: job.id, outcomes, events, jobs }), ...also];
  }

  recorded(job: LaneJob, replies: readonly unknown[]): void {
    if (typeof replies[0] === 'number' && replies[0] <= 0 && replies.length > 1) {
      this.onEnded(job.id, job.ref, ...(job.also ?? []));
    }
  }

  progress(job: LaneJob): Command {
    return { name: 'hmget', args: [recordKey(job.id), 'stage', ...job.rcpts.map((rcpt) => recipientField(rcpt.i))] };
  }

  open(job: LaneJob, reply: unknown): JobProgress {
    const [stage, ...fields] = reply as (string | null)[];
    // No record: it ended and has expired, so that nothing may be sent any more.
    if (!stage || stage === 'done' || stage === 'canceled') return { open: [] };
    const open: number[] = [];
    const unknown: number[] = [];
    let lastAttemptAt: number | undefined;
    for (const [at, { i }] of job.rcpts.entries()) {
      const field = fields[at];
      if (field?.startsWith('t')) continue;
      if (field?.startsWith('u')) {
        unknown.push(i);
        continue;
      }
      open.push(i);
      const status = field ? decodeStatus(field) : undefined;
      if (status?.state === 'deferred') lastAttemptAt = Math.max(lastAttemptAt ?? 0, status.at);
    }
    return {
      open,
      ...(unknown.length > 0 ? { unknown } : {}),
      ...(lastAttemptAt === undefined ? {} : { lastAttemptAt }),
    };
  }

  /** Cancels a message that is scheduled, held or not yet through policy. */
  async cancel(id: string, now = Date.now()): Promise<'canceled' | 'too_late' | 'unknown'> {
    const event: MessageEvent = { type: 'Cancellation', id, at: now };
    const status = encodeStatus({ state: 'canceled', at: now });
    const keys = [recordKey(id), bodyKey(id), EVENT_STREAM];
    const args = [...keys, this.retention, eventField(event), JSON.stringify(event), status, EVENTS_KEPT];
    const [reply] = await this.executor.exec([{ name: cancelScript.name, script: cancelScript, args }]);
    if (!Array.isArray(reply)) return reply === 0 ? 'too_late' : 'unknown';
    const [meta, variants] = reply as [string, string];
    this.onEnded(id, (JSON.parse(meta) as MessageMeta).body, ...parseVariants(variants));
    return 'canceled';
  }

  /** @returns whether every recipient of a record is terminal. */
  static ended(record: MessageRecord): boolean {
    return record.recipients.every((recipient) => isTerminal(recipient.state));
  }
}

export { decodeStatus };
