import type { BodyRef, Cut } from './body.js';
import type { Recipient } from './envelope.js';
import type { Reply } from './reply.js';

/** One thing that policy found in a message. */
export interface FoundSymbol {
  /** In capitals, such as `SPF_FAIL`. */
  readonly name: string;
  /** What it adds to the score; negative speaks for the message. */
  readonly score: number;
  /** Why, for a person: at most a sentence. */
  readonly reason: string;
}

/** What policy found out, in a form that can be stored. */
export interface StoredFindings {
  readonly symbols: readonly FoundSymbol[];
  readonly tags: readonly { readonly name: string; readonly value: string }[];
  /** Results of authentication and the like, by name. */
  readonly facts: Readonly<Record<string, unknown>>;
}

/** A form of a message that leaves, and who gets it. */
export interface JudgedForm {
  readonly rcpts: readonly number[];
  readonly ref: BodyRef;
  readonly prepend?: string;
  readonly cut?: Cut;
}

/** Why a message is held. */
export interface HoldNote {
  /** The check that holds it. */
  readonly by: string;
  readonly reason: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly until: number;
}

/** How far policy is with a message that it goes on with later: one that is held, or was judged in the session. */
export interface Judgement {
  /** Names of the checks that it is through. */
  readonly done: readonly string[];
  readonly hold?: HoldNote;
  readonly forms: readonly JudgedForm[];
  readonly refused: readonly {
    readonly i: number;
    readonly reply: Reply;
    readonly state: 'rejected' | 'suppressed' | 'expired';
  }[];
  /** Recipients that rules changed. */
  readonly changed: readonly {
    readonly i: number;
    readonly recipient: Recipient;
    readonly via?: { readonly to?: string | undefined; readonly pool?: string | undefined };
  }[];
  /** Recipients that rules added; their numbers follow those of the envelope. */
  readonly added: readonly Recipient[];
  readonly findings: StoredFindings;
}
