import type { ParsedMail } from '@waypost/mime';
import type { Html } from './html.js';
import type { LookalikeFinder } from './lookalike.js';

/** What heuristics look at. */
export interface SpamInput {
  readonly mail: ParsedMail;
  /** What the HTML parts say, read once. */
  readonly html: Html;
  /** Milliseconds since the epoch when the message came in. */
  readonly receivedAt: number;
  /** Forward-paths. */
  readonly recipients: readonly string[];
  readonly lookalikes: LookalikeFinder;
}
