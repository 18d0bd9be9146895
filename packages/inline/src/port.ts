import type { FoundSymbol, Judgement, MessageMeta, Reply } from '@waypost/mail';
import type { Draft } from '@waypost/spool';

/** A message that is not committed yet. Where `body` is absent the blob store has it. */
export interface Uncommitted {
  readonly meta: MessageMeta;
  readonly body?: Buffer;
}

/** What policy says of a message before its final dot is answered. */
export type InlineVerdict =
  /** Not taken: 5yz for good, 4yz for now. */
  | { readonly kind: 'refuse'; readonly reply: Reply }
  /** Taken; how far policy is goes into its record, with the bodies that policy made of it. */
  | { readonly kind: 'take'; readonly judgement?: Judgement; readonly variants: readonly Draft[] };

/** One step of a dry run. */
export interface ExplainedStep {
  readonly check: string;
  readonly verdict: string;
  /** A reply, or why it is held or deferred. */
  readonly text?: string;
  readonly milliseconds: number;
  readonly symbols: readonly FoundSymbol[];
  readonly notes: readonly string[];
  /** Header fields it added. */
  readonly headers: readonly string[];
}

/** All that policy would do with a message. */
export interface Explanation {
  readonly verdict: 'pass' | 'hold' | 'defer' | 'reject';
  readonly reason?: string;
  readonly score: number;
  readonly steps: readonly ExplainedStep[];
  readonly refused: readonly { readonly recipient: string; readonly state: string; readonly reply: Reply }[];
  /** What leaves for whom, and where to. */
  readonly leaves: readonly {
    readonly recipients: readonly string[];
    readonly added_headers: readonly string[];
    /** Fields of the message that do not leave. */
    readonly removed_headers: number;
    readonly replaced: boolean;
    readonly lanes: readonly string[];
    readonly routes: readonly string[];
  }[];
  readonly tags: readonly { readonly name: string; readonly value: string }[];
  readonly facts: Readonly<Record<string, unknown>>;
}

/** Policy as a session and the API ask it. */
export interface PolicyPort {
  /** Judges a message that is about to be committed. Throws where it cannot. */
  judge(message: Uncommitted, signal?: AbortSignal): Promise<InlineVerdict>;
  /** Says what would become of a message; nothing changes by it. */
  explain(message: Uncommitted): Promise<Explanation>;
}
