import type { BodyRef, Cut } from './body.js';
import type { Notify } from './envelope.js';

/** Where a lane leads. Credentials are looked up by `route` in the configuration, never carried. */
export type Target =
  | { readonly kind: 'mx'; readonly domain: string }
  | { readonly kind: 'smtp' | 'smtps'; readonly host: string; readonly port: number }
  | { readonly kind: 'lmtp'; readonly host: string; readonly port: number }
  | { readonly kind: 'lmtp-unix'; readonly path: string }
  | { readonly kind: 'maildir'; readonly path: string }
  | { readonly kind: 'sink' };

/** One recipient of a lane job; `i` is its index in the message's envelope. */
export interface JobRecipient {
  readonly i: number;
  readonly to: string;
  readonly notify?: readonly Notify[];
  readonly orcpt?: string;
}

/**
 * What a lane job carries: all that an attempt needs but the body, so that an attempt reads Redis only for the
 * body and the fence. Sized for 100 recipients at most (RFC 5321 §4.5.3.1.8).
 */
export interface LaneJob {
  /** Message id. */
  readonly id: string;
  readonly lane: string;
  readonly target: Target;
  /** Which route of the configuration chose the target: `routeId`. */
  readonly route: string;
  readonly sender: string;
  readonly rcpts: readonly JobRecipient[];
  readonly ret?: 'FULL' | 'HDRS';
  readonly envid?: string;
  readonly body?: '7BIT' | '8BITMIME';
  readonly smtputf8?: boolean;
  readonly requireTls?: boolean;
  readonly tlsOptional?: boolean;
  readonly ref: BodyRef;
  /** Header fields (each ended by CRLF) that policy put before the stored message. */
  readonly prepend?: string;
  /** Header fields of the stored message that policy took out. */
  readonly cut?: Cut;
  /** Other forms of the message that are stored: they end with it too. */
  readonly also?: readonly BodyRef[];
  /** When the message came in, or was to be sent (`ageFrom`): `max_age` counts from here. */
  readonly receivedAt: number;
  /** It came from outside, over an mx listener: what becomes of it suppresses nobody. */
  readonly inbound?: true;
  /** For rules by tenant and tag, and for queue control. */
  readonly tenant?: string;
  readonly tags?: readonly { readonly name: string; readonly value: string }[];
  /** Egress pool that the route asks for. */
  readonly pool?: string;
  /** Attempts made in other lanes before it was moved here, and how often it was moved by itself. */
  readonly tried?: number;
  readonly moved?: number;
  readonly traceparent?: string;
}
