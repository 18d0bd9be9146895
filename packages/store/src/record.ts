import { randomInt } from 'node:crypto';
import {
  type BodyRef,
  type Complaint,
  type FoundSymbol,
  isTerminal,
  type Judgement,
  type LateBounce,
  type MessageEvent,
  type MessageMeta,
  type MessageRecord,
  type Recipient,
  type RecipientStatus,
} from '@waypost/mail';

/**
 * A message's record is one Redis hash:
 *   m        the meta as JSON, written once
 *   stage    see MessageRecord.stage
 *   open     how many recipients are not terminal, and `unknown` of how many an operator is to decide
 *   r<i>     the i-th recipient's status: `t`, `u` or `p` (terminal, unknown, pending), then JSON; absent means what the stage says:
 *            scheduled, queued where it is routed, else accepted
 *   e<…>     one event each, JSON
 *   x, xn    recipients that rules added, JSON, and how many; their numbers follow those of the meta
 *   judged   how far policy is, JSON, where it goes on later
 *   found    what policy found, JSON
 *   v        other stored forms of the message: variantText, separated by spaces
 *   j<i>     the lane of the job whose first recipient is the i-th, while it is there
 *   b<i>     the last bounce that came later, c<i> the last complaint, JSON; n<i> how many reports there were
 * It expires after its retention once all recipients are terminal.
 */
const SERIALS = 1_000_000;
export const recordKey = (id: string) => `wp:{${id}}:m`;
export const jobField = (first: number) => `j${first}`;
export const recipientField = (index: number) => `r${index}`;
/** Where reports on a recipient are noted; of a message as a whole where it is not known which. */
export const noteFields = (index: number | undefined) => ({
  bounce: index === undefined ? '' : `b${index}`,
  complaint: index === undefined ? '' : `c${index}`,
  count: `n${index ?? ''}`,
});

/** @returns the stored form of a status; its first letter lets scripts see what it is without parsing. */
export function encodeStatus(status: RecipientStatus): string {
  const letter = isTerminal(status.state) ? 't' : status.state === 'unknown' ? 'u' : 'p';
  return letter + JSON.stringify(status);
}

export function decodeStatus(text: string): RecipientStatus {
  return JSON.parse(text.slice(1)) as RecipientStatus;
}

/** Starts anywhere, so that two processes do not give one field to two events of one millisecond. */
let serial = randomInt(SERIALS);
/** @returns a field of its own for an event; the same event keeps its field over retries. */
export function eventField(event: MessageEvent): string {
  serial = (serial + 1) % SERIALS;
  return `e${event.at}-${serial}`;
}

/** @returns the stored form of a variant's place. */
export const variantText = ({ variant, at, size }: BodyRef) => `${variant}/${at}/${size}`;

/** @returns the places of all variants that a record names. */
export function parseVariants(text: string): BodyRef[] {
  return text.split(' ').flatMap((one) => {
    const [variant, at, size] = one.split('/');
    return variant && at ? [{ variant, at: at as BodyRef['at'], size: Number(size) }] : [];
  });
}

function jobsIn(hash: Record<string, string>): { first: number; lane: string }[] {
  return Object.entries(hash).flatMap(([field, lane]) => {
    const first = /^j(\d+)$/.exec(field)?.[1];
    return first === undefined ? [] : [{ first: Number(first), lane }];
  });
}

/** @returns the record, or undefined where the hash is empty. */
export function decodeRecord(hash: Record<string, string>): MessageRecord | undefined {
  if (!hash.m) return undefined;
  const original = JSON.parse(hash.m) as MessageMeta;
  const added = JSON.parse(hash.x ?? '[]') as Recipient[];
  const { envelope } = original;
  const meta =
    added.length > 0
      ? { ...original, envelope: { ...envelope, recipients: [...envelope.recipients, ...added] } }
      : original;
  const stage = (hash.stage ?? 'accepted') as MessageRecord['stage'];
  const state = stage === 'scheduled' ? stage : stage === 'routed' ? 'queued' : 'accepted';
  const recipients = meta.envelope.recipients.map((_, index): RecipientStatus => {
    const field = hash[recipientField(index)];
    const status: RecipientStatus = field ? decodeStatus(field) : { state, at: meta.receivedAt };
    return { ...status, ...notesOf(hash, index) };
  });
  const events = Object.entries(hash)
    .filter(([field]) => field.startsWith('e'))
    .map(([field, text]) => ({ event: JSON.parse(text) as MessageEvent, serial: Number(field.split('-')[1]) }))
    // Redis keeps the fields in no order.
    .sort((a, b) => a.event.at - b.event.at || a.serial - b.serial)
    .map(({ event }) => event);
  const variants = parseVariants(hash.v ?? '');
  const jobs = jobsIn(hash);
  return {
    ...{ meta, stage, recipients, events },
    ...(variants.length > 0 ? { variants } : {}),
    ...(hash.judged ? { judged: JSON.parse(hash.judged) as Judgement } : {}),
    ...(hash.found ? { found: JSON.parse(hash.found) as FoundSymbol[] } : {}),
    ...(added.length > 0 ? { added: added.length } : {}),
    ...(jobs.length > 0 ? { jobs } : {}),
  };
}

function notesOf(hash: Record<string, string>, index: number): Pick<RecipientStatus, 'lateBounce' | 'complaint'> {
  const fields = noteFields(index);
  const bounce = hash[fields.bounce];
  const complaint = hash[fields.complaint];
  return {
    ...(bounce ? { lateBounce: JSON.parse(bounce) as LateBounce } : {}),
    ...(complaint ? { complaint: JSON.parse(complaint) as Complaint } : {}),
  };
}

/** @returns a flat HGETALL reply as an object. */
export function toHash(reply: unknown): Record<string, string> {
  if (!Array.isArray(reply)) return (reply ?? {}) as Record<string, string>;
  const hash: Record<string, string> = {};
  for (let at = 0; at + 1 < reply.length; at += 2) hash[String(reply[at])] = String(reply[at + 1]);
  return hash;
}
