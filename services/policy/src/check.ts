import type { Readable } from 'node:stream';
import type { MessageMeta, Recipient, Reply } from '@waypost/mail';
import type { ParsedMail } from '@waypost/mime';
import type { Suppression } from '@waypost/store';
import type { Findings } from './findings.js';

/** A recipient that is still to be routed; `i` is its index in the envelope. */
export interface OpenRecipient {
  readonly i: number;
  readonly recipient: Recipient;
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
  | { readonly kind: 'hold'; readonly reason: string }
  /** Judged again after a while, as when something that is needed is down. */
  | { readonly kind: 'defer'; readonly reason: string };

export const PASS: Verdict = { kind: 'pass' };

/** Whether a header field of the stored message is to be left out; name in lower case, value unfolded. */
export type FieldTest = (name: string, value: string) => boolean;

/**
 * What a check sees of a message, and how it may change it. Where some recipients are to get another form of the message than
 * others (`rcpts` of the changing functions), later checks run once for each form and see it alone.
 */
export interface CheckContext {
  readonly meta: MessageMeta;
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
  /** The same, taken apart once for all checks. */
  mail(): Promise<ParsedMail>;
  /** The octets as they leave by what is known now: for signatures, which must be over the whole of them. */
  leaving(): Promise<Buffer | Readable>;
  /** Those of the addresses that are suppressed. */
  suppressed(addresses: readonly string[]): Promise<ReadonlyMap<string, Suppression>>;
}

/** One rule of policy. A throw is a deferral, never a lost message. */
export interface Check {
  readonly name: string;
  run(context: CheckContext): Verdict | Promise<Verdict>;
}
