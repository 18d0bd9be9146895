import type { Readable } from 'node:stream';
import type { MessageMeta, Recipient, Reply } from '@waypost/mail';
import type { Suppression } from '@waypost/store';

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

/** What a check sees of a message, and how it may add to it. */
export interface CheckContext {
  readonly meta: MessageMeta;
  /** Recipients that no earlier check refused. */
  readonly open: readonly OpenRecipient[];
  /** Adds a header field before the message; folded already, without CRLF at its end. */
  addHeader(field: string): void;
  /** The stored message; read at the first call. */
  body(): Promise<Buffer | Readable>;
  /** Those of the addresses that are suppressed. */
  suppressed(addresses: readonly string[]): Promise<ReadonlyMap<string, Suppression>>;
}

/** One rule of policy. A throw is a deferral, never a lost message. */
export interface Check {
  readonly name: string;
  run(context: CheckContext): Verdict | Promise<Verdict>;
}
