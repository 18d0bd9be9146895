import type { Readable } from 'node:stream';
import type { LaneJob, Outcome } from '@waypost/mail';
import type { Command } from '@waypost/redis';

/** How one recipient fared in an attempt. */
export interface Result extends Pick<Outcome, 'result' | 'reply'> {
  /** The reply is the remote's own. */
  readonly remote?: boolean;
  /** What it answered. */
  readonly phase?: Outcome['phase'];
  /** Index in the message's envelope. */
  readonly i: number;
  /** The peer takes over the duty to report success (it speaks DSN), or the mail is in its box. */
  readonly dsn?: 'passed_on' | 'final' | 'relayed';
}

/** What a target says of an attempt. */
export interface TargetOutcome {
  readonly results: readonly Result[];
  /** `name [address]` of the peer. */
  readonly remote?: string;
  /** The host itself refused, failed or put us off: it is to get fewer sessions. */
  readonly hostTrouble?: boolean;
  /** Further commands to run with the record of the outcome. */
  readonly also?: readonly Command[];
  /** What went wrong here, after some of the recipients had been sent to: those left are deferred. */
  readonly error?: Error;
}

/** A message on its way out. */
export interface Outgoing {
  readonly job: LaneJob;
  /** Recipients that are to be tried now; indexes into the envelope. */
  readonly open: readonly number[];
  /** The whole message with what policy put before it. */
  body(): Promise<Buffer | Readable>;
}

/**
 * One kind of next hop for one lane. `prepare` gets ready to send, as by connecting; `send` sends. Between the two the
 * fence is asked, so that nothing lies between it and the transaction.
 */
export interface LaneTarget {
  readonly kind: string;
  /** @returns an outcome for all recipients when no message can be sent now, undefined when it can. */
  prepare(job: LaneJob): Promise<TargetOutcome | undefined>;
  /** @throws only while nobody has been sent to: what was said to one recipient is on record whatever befalls the next. */
  send(outgoing: Outgoing): Promise<TargetOutcome>;
  /** Whether it serves another message. */
  readonly alive: boolean;
  close(): void;
}

/** Of recipients whose turn came when the message could not be sent any more, for want of something here. */
export const OUR_TROUBLE = {
  result: 'deferred',
  reply: { code: 451, enhanced: '4.3.0', text: 'Local error, tried again later; the log of the relay has the cause' },
} as const;

/** @returns the same result for each recipient of a job. */
export function forAll(job: LaneJob, result: Omit<Result, 'i'>): Result[] {
  return job.rcpts.map(({ i }) => ({ ...result, i }));
}
