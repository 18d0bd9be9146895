/** One field of a header section. */
export interface MailField {
  /** In lower case. */
  readonly name: string;
  /** Unfolded and trimmed, as UTF-8; encoded words are left as they are (see `decodeWords`). */
  readonly value: string;
}

/** One part of a message: the message itself, a multipart, a message in a message, or a leaf. */
export interface MailPart {
  /** Place in the tree as IMAP counts it: `` for the message itself, `1`, `2.1`. */
  readonly path: string;
  /** 0 for the message itself. */
  readonly depth: number;
  /** Media type in lower case, such as `text/html`; what RFC 2045 §5.2 and RFC 2046 §5.1.5 give where none is declared. */
  readonly type: string;
  /** Parameters of the Content-Type by name in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
  /** `attachment`, `inline` or another token in lower case; empty where there is none (RFC 2183). */
  readonly disposition: string;
  /** The name for a file, decoded; undefined where there is none. */
  readonly filename: string | undefined;
  /** Every name that some reader might take, `filename` first. */
  readonly filenames: readonly string[];
  /** Content-Transfer-Encoding in lower case; `7bit` where none is declared. */
  readonly encoding: string;
  readonly fields: readonly MailField[];
  /** The value of the first field of this name (in lower case). */
  header(name: string): string | undefined;
  /** The values of all fields of this name, in their order. */
  headers(name: string): string[];
  /** The part's octets as they stand in the message, its header section included and the line end before a boundary not. */
  readonly whole: Buffer;
  /** The body as it stands in the message, still encoded. */
  readonly raw: Buffer;
  /** The body decoded from its transfer encoding; of a leaf. Decoded at the first call, and kept. */
  content(): Buffer;
  /** The content's first octets, without decoding the rest. */
  beginning(octets: number): Buffer;
  /** The content as text in its charset, `limits.text` octets of it at most. Decoded at the first call, and kept. */
  text(): string;
  /** The parts of a multipart, or the one message of a `message/rfc822`. */
  readonly parts: readonly MailPart[];
}

/** What is wrong with a message's form. */
export type MailDefect =
  | 'no-header-end'
  | 'no-boundary'
  | 'boundary-never-used'
  | 'boundary-not-closed'
  | 'repeated-structure-field'
  | 'repeated-parameter'
  | 'unknown-encoding'
  | 'encoded-multipart'
  | 'too-many-parts'
  | 'too-deep';

/** A message taken apart once, for all that look at it. Octets are views on the message: nothing is copied or changed. */
export interface ParsedMail extends MailPart {
  /** Every part, depth first, the message itself included. */
  readonly all: readonly MailPart[];
  /** Parts without parts below them. */
  readonly leaves: readonly MailPart[];
  /** Leaves that are files rather than the text that is shown: named, marked as attachment, or of a type other than text. */
  readonly attachments: readonly MailPart[];
  /** The decoded Subject; empty where there is none. */
  readonly subject: string;
  /** Text of the leaves of `text/plain` that are shown, joined by line ends. */
  plainText(): string;
  /** Markup of the leaves of `text/html` that are shown, joined by line ends. */
  htmlText(): string;
  readonly defects: ReadonlySet<MailDefect>;
}

export interface MimeLimits {
  /** Parts of one message, of all depths. */
  readonly parts: number;
  readonly depth: number;
  /** Octets of one part that become text. */
  readonly text: number;
}

export const MIME_LIMITS: MimeLimits = { parts: 1_000, depth: 30, text: 1_048_576 };
