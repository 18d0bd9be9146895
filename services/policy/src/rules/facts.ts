import type { MessageMeta } from '@waypost/mail';
import type { ParsedMail } from '@waypost/mime';
import type { Findings } from '../findings.js';

/** What the conditions of rules look at. */
export interface RuleFacts {
  readonly meta: MessageMeta;
  readonly findings: Findings;
  /** Recipients that are still open. */
  readonly recipients: number;
  /** The one recipient a condition is asked about. */
  readonly recipient: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** The message; absent until a condition needs it. */
  readonly mail?: ParsedMail | undefined;
}

/** @returns whether a condition fits; undefined where that hangs on the message, which was not read yet. */
export type Test = (facts: RuleFacts) => boolean | undefined;
