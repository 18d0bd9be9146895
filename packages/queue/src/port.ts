import type { LaneJob, MessageEvent, RecipientStatus } from '@waypost/mail';
import type { Command } from '@waypost/redis';
import type { Offer } from '@waypost/shaping';

/** What an attempt at a lane job may ask of the scheduler. */
export interface AttemptContext {
  /** 1-based count of attempts at this job. */
  readonly attempt: number;
  /**
   * Checks, just before DATA, that this process still owns the job and which of its recipients are not yet terminal.
   * One round trip. Not owned, or nothing open: send nothing and return no outcomes.
   */
  fence(): Promise<{ readonly owned: boolean } & JobProgress>;
  /** Aborts when the grace period is over. */
  readonly signal: AbortSignal;
}

/** How far a job's recipients are. */
export interface JobProgress {
  /** Indexes of those that may be sent to. */
  readonly open: readonly number[];
  /** Of those that an operator is to decide about: they may have it. */
  readonly unknown?: readonly number[];
  /** When they were tried last, ms since the epoch; absent where they never were. */
  readonly lastAttemptAt?: number;
}

/** The result of one attempt; written with the job's completion in one transaction. */
export interface Settlement {
  /** One entry per recipient whose state changed; `i` is the index in the message's envelope. */
  readonly outcomes: readonly { readonly i: number; readonly status: RecipientStatus }[];
  readonly events: readonly MessageEvent[];
  /** Set when a recipient is deferred: when this job is tried again, ms since the epoch. */
  readonly retryAt?: number;
  /** The lane that this job goes to instead; `also` has the commands that put it there. */
  readonly movedTo?: string;
  /** The job was taken over, and its record is the other's to write. */
  readonly notOurs?: true;
  /** Further commands of the same transaction: DSNs to commit, a caught message to store. */
  readonly also?: readonly Command[];
}

/** A session of one lane: attempts its jobs one after another, over one connection where the target has one. */
export interface LaneSession {
  /** One try. Remote failures are outcomes; a throw counts as an internal temporary failure of the whole job. */
  attempt(job: LaneJob, context: AttemptContext): Promise<Settlement>;
  /** False once the session can serve no further job, as after its last message or a broken connection. */
  readonly alive: boolean;
  close(): Promise<void>;
}

/** What delivery gives the scheduler. */
export interface LaneHandler {
  /** The ways to serve a lane now, in the order to try them. */
  offers(lane: string): readonly Offer[];
  /** Called when a lease was granted. Connects lazily, in `attempt`. */
  open(lane: string, grant: Grant): LaneSession;
  /** Sessions the lane may have use for over all replicas. */
  limit(lane: string): number;
}

/** Terms of one lease. */
export interface Grant {
  readonly offer: Offer;
  /** A suspension of this scope has just ended, and this session is to show whether it may stay so. */
  readonly probe?: string;
}

/** What the scheduler needs of the message records; `store` implements it. */
export interface LaneLedger {
  /** The commands that record a settlement; idempotent. */
  settle(job: LaneJob, settlement: Settlement): Command[];
  /** Told the replies to `settle` once they are durable. */
  recorded(job: LaneJob, replies: readonly unknown[]): void;
  /** Reads how far a job's recipients are. */
  progress(job: LaneJob): Command;
  /** Reads the reply to `progress`. */
  open(job: LaneJob, reply: unknown): JobProgress;
}
