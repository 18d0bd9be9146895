import type { BounceCause } from '@waypost/mail';

/** What a report says became of one recipient. */
export interface ReportedRecipient {
  /** The address that was written to, as far as the report tells. */
  readonly recipient: string;
  /** Where the mail went from there, where it was forwarded. */
  readonly finalRecipient?: string;
  /** RFC 3464 §2.3.3; `failed` where a report without fields is about a failure. */
  readonly action: 'failed' | 'delayed' | 'delivered' | 'relayed' | 'expanded';
  readonly code?: number;
  /** RFC 3463. */
  readonly enhanced?: string;
  /** What the remote or the reporting host said. */
  readonly text: string;
  readonly remote?: string;
  readonly cause: BounceCause;
  /** Do not write to this address again. */
  readonly hard: boolean;
}

/** What a mail that came back is about. */
export interface Report {
  /**
   * bounce: a delivery status, of failure, delay or success · feedback: a complaint (RFC 5965) · auto_reply: the recipient's
   * program answers, such as while he is away (RFC 3834).
   */
  readonly kind: 'bounce' | 'feedback' | 'auto_reply';
  readonly recipients: readonly ReportedRecipient[];
  /** Message-ID of the message it is about. */
  readonly originalMessageId?: string;
  /** Queue id of that message, where its header tells it. Anybody could write it there. */
  readonly queueId?: string;
  /** Texts in which the sender's own mark may stand, such as a signed return path, surest first. */
  readonly marks?: readonly string[];
  /** ENVID of the transaction (RFC 3464 §2.2.1). */
  readonly envelopeId?: string;
  /** Feedback-Type of a complaint (RFC 5965 §3.1), such as `abuse` or `not-spam`. */
  readonly feedbackType?: string;
}
