import type { BodyRef } from './body.js';
import type { BounceCause } from './bounce/index.js';
import type { Envelope } from './envelope.js';
import type { FoundSymbol, Judgement } from './judgement.js';
import type { Reply } from './reply.js';

/** How a message came in; goes into the Received header, the logs and the policy context. */
export interface Origin {
  readonly kind: 'submission' | 'relay' | 'mx' | 'http' | 'internal';
  /** The listener's name, or `http`; `dsn` for our own notifications. */
  readonly listener: string;
  readonly remoteAddress?: string;
  readonly helo?: string;
  /** With-protocol of the Received header: SMTP, ESMTP, ESMTPS, ESMTPA, ESMTPSA, HTTP (RFC 3848). */
  readonly protocol: string;
  /** Id of the API key that authenticated the submission, never the key. */
  readonly credential?: string;
  readonly tenant?: string;
  /** TLS protocol and cipher, e.g. `TLSv1.3 TLS_AES_256_GCM_SHA384`. */
  readonly tls?: string;
}

/** Everything fixed about a message when it is accepted. Written once, at the commit point. */
export interface MessageMeta {
  /** Queue id: UUIDv7. */
  readonly id: string;
  readonly envelope: Envelope;
  readonly origin: Origin;
  readonly body: BodyRef;
  /** Milliseconds since the epoch. */
  readonly receivedAt: number;
  /** Milliseconds since the epoch; policy starts no earlier. */
  readonly scheduledAt?: number;
  /** The Message-ID header, with angle brackets. */
  readonly messageId?: string;
  readonly subject?: string;
  /** From header address list as written, for display only. */
  readonly headerFrom?: string;
  /** Header To/Cc/Bcc/Reply-To given over HTTP, so that they can be read back. */
  readonly display?: Readonly<Record<string, readonly string[]>>;
  readonly tags?: readonly { readonly name: string; readonly value: string }[];
  /** Received fields the message already had. */
  readonly hops: number;
  /** W3C trace context of the accepting span. */
  readonly traceparent?: string;
}

/** @returns when the age of a message begins to count: when it came in, or was to be sent; ms since the epoch. */
export const ageFrom = ({ receivedAt, scheduledAt = 0 }: Pick<MessageMeta, 'receivedAt' | 'scheduledAt'>): number =>
  Math.max(receivedAt, scheduledAt);

/** Terminal states; every accepted recipient reaches exactly one of them. */
export const TERMINAL_STATES = ['delivered', 'bounced', 'expired', 'rejected', 'suppressed', 'canceled'] as const;
export type TerminalState = (typeof TERMINAL_STATES)[number];
/**
 * `accepted` (in policy or waiting for it), `scheduled`, `held`, `queued` (in a lane), `deferred` (a lane, later), `unknown`
 * (the next hop may have it, and an operator is to decide).
 */
export type RecipientState = 'accepted' | 'scheduled' | 'held' | 'queued' | 'deferred' | 'unknown' | TerminalState;

/** @returns whether no further transition can follow. */
export function isTerminal(state: RecipientState): state is TerminalState {
  return (TERMINAL_STATES as readonly string[]).includes(state);
}

/** The state of one recipient of one message. */
export interface RecipientStatus {
  readonly state: RecipientState;
  /** Milliseconds since the epoch of the last transition. */
  readonly at: number;
  readonly attempts?: number;
  /** The last reply from a remote, or our own reason. */
  readonly reply?: Reply;
  /** Of a bounce: why, in the terms of bounce processors. */
  readonly cause?: BounceCause;
  /** Of a bounce: the address is not to be written to again. */
  readonly hard?: boolean;
  /** Host that gave the reply, `name [address]`. */
  readonly remote?: string;
  readonly lane?: string;
  /** Milliseconds since the epoch. */
  readonly nextAttemptAt?: number;
  /** A delay DSN was already sent. */
  readonly delayNotified?: boolean;
  /** A bounce that came after the next hop had taken the mail; it changes no state. */
  readonly lateBounce?: LateBounce;
  /** He complained. */
  readonly complaint?: Complaint;
}

/** What a delivery report said of a recipient (RFC 3464). */
export interface LateBounce {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly cause: BounceCause;
  readonly hard?: boolean;
  readonly reply: Reply;
  readonly remote?: string;
  /** Queue id of the report. */
  readonly report: string;
  /** It bore a token of ours; else anybody who knows of the message could have sent it. */
  readonly proven: boolean;
}

/** What a feedback report said (RFC 5965). */
export interface Complaint {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Its Feedback-Type: `abuse`, `fraud` … */
  readonly type: string;
  /** Queue id of the report. */
  readonly report: string;
  /** It bore a token of ours; else anybody who knows of the message could have sent it. */
  readonly proven: boolean;
}

/** A message as read back from the store. `recipients[i]` belongs to `meta.envelope.recipients[i]`. */
export interface MessageRecord {
  readonly meta: MessageMeta;
  /** Where the message as a whole is: `accepted` until policy has handed it over or ended it. */
  readonly stage: 'accepted' | 'scheduled' | 'held' | 'routed' | 'done' | 'canceled';
  /** Its jobs in lanes, by the index of their first recipient. */
  readonly jobs?: readonly { readonly first: number; readonly lane: string }[];
  readonly recipients: readonly RecipientStatus[];
  readonly events: readonly MessageEvent[];
  /** Other stored forms of the message. */
  readonly variants?: readonly BodyRef[];
  /** How far policy is with it, where it goes on later. */
  readonly judged?: Judgement;
  /** What policy found in it. */
  readonly found?: readonly FoundSymbol[];
  /** How many of the recipients, the last ones, were added by rules; senders do not hear of them. */
  readonly added?: number;
}

/** Record types in the manner of KumoMTA's log. */
export type EventType =
  | 'Reception'
  | 'Rejection'
  | 'Held'
  /** Held no longer: it goes on through policy. */
  | 'Released'
  | 'Queued'
  | 'Delivery'
  | 'TransientFailure'
  | 'Bounce'
  | 'Expiration'
  | 'Suppressed'
  | 'Cancellation'
  | 'OutcomeUnknown'
  | 'DelayNotice'
  | 'PolicyDefer'
  | 'Reroute'
  /** A bounce that came after the next hop had taken the mail. */
  | 'OOB'
  /** A complaint of a recipient. */
  | 'Feedback'
  /** An operator gave it up. */
  | 'AdminBounce';

/** One transition of one message; appears in the event stream at least once. */
export interface MessageEvent {
  readonly type: EventType;
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Indexes into the envelope's recipients; absent means all, an empty list that nobody knows which. */
  readonly rcpts?: readonly number[];
  readonly reply?: Reply;
  /** Of a bounce: why. */
  readonly cause?: BounceCause;
  readonly remote?: string;
  readonly lane?: string;
  readonly attempt?: number;
  readonly nextAttemptAt?: number;
  readonly detail?: string;
  readonly traceparent?: string;
}
