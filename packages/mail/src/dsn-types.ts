import type { Notify } from './envelope.js';
import type { Reply } from './reply.js';

/** What a DSN says of one recipient (RFC 3464 §2.3.3). */
export type DsnAction = 'failed' | 'delayed' | 'delivered' | 'relayed';

export interface DsnRecipient {
  readonly address: string;
  readonly orcpt?: string;
  readonly notify?: readonly Notify[];
  readonly action: DsnAction;
  readonly reply: Reply;
  /** Host that gave the reply, `name [address]`; absent where the reply is our own reason. */
  readonly remote?: string;
  /** Milliseconds since the epoch. */
  readonly lastAttemptAt?: number;
  /** For `delayed`: until when we go on, ms since the epoch. */
  readonly willRetryUntil?: number;
}

export interface DsnInput {
  /** Our name. */
  readonly reportingMta: string;
  /**
   * What this is about: id, reverse-path and arrival (ms since the epoch); the header's Message-ID and Subject where
   * known.
   */
  readonly original: {
    readonly id: string;
    readonly sender: string;
    readonly receivedAt: number;
    readonly messageId?: string;
    readonly subject?: string;
  };
  readonly envid?: string;
  readonly recipients: readonly DsnRecipient[];
  /** The original message, or its header section when `headersOnly` (see returnedPart). */
  readonly returned: Buffer;
  readonly headersOnly: boolean;
  /** The original came with SMTPUTF8. */
  readonly smtputf8?: boolean;
  /** Queue id of the DSN, for Message-ID and boundary. */
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly date: number;
  /** Mailbox for the From field; MAILER-DAEMON at `reportingMta` by default. */
  readonly from?: string;
}
