/** When a DSN is wanted for one forward-path (RFC 3461 §4.1). Absent means FAILURE (and DELAY at our discretion). */
export type Notify = 'NEVER' | 'SUCCESS' | 'FAILURE' | 'DELAY';

/** One forward-path with its ESMTP parameters (RFC 5321 §4.1.1.3, RFC 3461 §4). */
export interface Recipient {
  /** The mailbox without angle brackets, as given by the client; the domain in lower case. */
  readonly address: string;
  readonly notify?: readonly Notify[];
  /** `addr-type;xtext-decoded address`, e.g. `rfc822;joe@example.com` (RFC 3461 §4.2). */
  readonly orcpt?: string;
}

/** Reverse-path, forward-paths and their parameters; not the headers (RFC 5321 §2.3.1). */
export interface Envelope {
  /** The reverse-path without angle brackets; the empty string is the null reverse-path. */
  readonly sender: string;
  readonly recipients: readonly Recipient[];
  /** What a DSN returns of the message (RFC 3461 §4.3). */
  readonly ret?: 'FULL' | 'HDRS';
  /** The sender's envelope id, xtext decoded (RFC 3461 §4.4). */
  readonly envid?: string;
  /** The declared body type (RFC 6152). */
  readonly body?: '7BIT' | '8BITMIME';
  /** Internationalised addresses or headers were announced (RFC 6531). */
  readonly smtputf8?: boolean;
  /** Only TLS-verified hops may carry this message (RFC 8689). */
  readonly requireTls?: boolean;
  /** It is to arrive although TLS fails, whatever its recipients' policies say: "TLS-Required: No" (RFC 8689 §5). */
  readonly tlsOptional?: boolean;
}
