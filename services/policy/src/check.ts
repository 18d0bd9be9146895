import type { Readable } from 'node:stream';
import type { MessageMeta, Recipient, Reply } from '@waypost/mail';
import type { ParsedMail } from '@waypost/mime';
import type { Suppression } from '@waypost/store';
import type { Findings } from './findings.js';

/** A recipient that is still to be routed; `i` is its index in the envelope. */
export interface OpenRecipient {
  readonly i: number;
  readonly recipient: Recipient;
  /** Next hop and egress pool in place of the route's. */
  readonly via?: Via;
}

/** Where a rule sends a message. */
export interface Via {
  /** As a route's `to`. */
  readonly to?: string | undefined;
  readonly pool?: string | undefined;
}

/** What a check thinks of a message. Unless `rcpts` (indexes) is given it is about all recipients. */
export type Verdict =
  | { readonly kind: 'pass' }
  | {
      readonly kind: 'reject';
      readonly reply: Reply;
      readonly rcpts?: readonly number[];
      /** The terminal state; `rejected` unless said. */
      readonly state?: 'rejected' | 'suppressed';
    }
  /** Kept until someone releases it. */
  | {
      readonly kind: 'hold';
      readonly reason: string;
      /** How long, ms; `held.max_age` unless said. */
      readonly for?: number;
    }
  /** Judged again after a while, as when something that is needed is down. */
  | { readonly kind: 'defer'; readonly reason: string };

export type Rejection = Extract<Verdict, { kind: 'reject' }>;

export const PASS: Verdict = { kind: 'pass' };

/** Whether a header field of the stored message is to be left out; name in lower case, value unfolded. */
export type FieldTest = (name: string, value: string) => boolean;

/**
 * What a check sees of a message, and how it may change it. Where some recipients are to get another form of the message than
 * others (`rcpts` of the changing functions), later checks run once for each form and see it alone.
 */
export interface CheckContext {
  readonly meta: MessageMeta;
  /** A dry run: nothing outside may change by it. */
  readonly dry: boolean;
  /** Recipients that no earlier check refused; of this form, where there are several. */
  readonly open: readonly OpenRecipient[];
  /** What earlier checks found. */
  readonly findings: Findings;
  /** Notes one thing found, that counts towards the score and explains it. */
  symbol(name: string, score: number, reason: string): void;
  /** Gives the message a tag, for routes, shaping, rules and queue control. */
  tag(name: string, value?: string): void;
  /** Adds a header field before the message; folded already, without CRLF at its end. */
  addHeader(field: string, rcpts?: readonly number[]): void;
  /** Leaves out fields of the stored message; those that policy adds stay. Applied when the message leaves policy. */
  removeHeader(test: FieldTest, rcpts?: readonly number[]): void;
  /** Replaces the stored message by other octets; what was added and left out before holds for them too. */
  rewrite(body: Buffer, rcpts?: readonly number[]): void;
  /** The stored message, or what `rewrite` made of it; read at the first call. */
  body(): Promise<Buffer | Readable>;
  /**
   * The same in memory, read once for all checks: the whole of it, or its beginning where it is longer than
   * `policy.scan_max`.
   */
  message(): Promise<Buffer>;
  /** The same taken apart, once for all checks. */
  mail(): Promise<ParsedMail>;
  /** The octets as they leave by what is known now: for signatures, which must be over the whole of them. */
  leaving(): Promise<Buffer | Readable>;
  /** Refuses recipients and goes on with the check, which a verdict would end. */
  refuse(rejection: Rejection): void;
  /** Writes to another address in place of these recipients. */
  redirect(address: string, rcpts: readonly number[]): void;
  /** A further recipient of this form, whom the others do not see; no more than once a message. */
  addRecipient(address: string): void;
  /** Next hop and pool in place of the route's. */
  route(via: Via, rcpts?: readonly number[]): void;
  /** A step to be told of in dry runs. */
  note(text: string): void;
  /** Those of the addresses that are suppressed. */
  suppressed(addresses: readonly string[]): Promise<ReadonlyMap<string, Suppression>>;
}

/** One rule of policy. A throw is a deferral, never a lost message. */
export interface Check {
  readonly name: string;
  run(context: CheckContext): Verdict | Promise<Verdict>;
}
