import type { Readable } from 'node:stream';
import type { BodyRef } from '@waypost/mail';

/**
 * A store for bodies above `inline_max`. Every driver passes the conformance suite in
 * `test/integration/spool-conformance`. Ids are UUIDs, for a variant with a dot and 16 hex digits behind; an id is written with
 * one content only.
 */
export interface BlobStore {
  readonly kind: 'fs' | 's3' | 'redis';
  /**
   * Stores the stream durably; resolves with its octets only when a crash of this process or machine can no longer
   * lose it. Rejects, leaving nothing behind, when the source fails.
   */
  put(id: string, source: AsyncIterable<Buffer>): Promise<number>;
  /** @throws BodyMissingError where there is none. */
  get(id: string): Promise<Readable>;
  /** Idempotent. */
  delete(id: string): Promise<void>;
  /** Ids stored before the time given (ms since the epoch), for the reconciler's sweep of orphans. */
  list(before: number): AsyncIterable<string>;
  close(): Promise<void>;
}

/** A body that arrived but is not committed: `inline` carries its octets, blobs are stored already. */
export interface Draft {
  readonly id: string;
  readonly ref: BodyRef;
  readonly inline?: Buffer;
}

export class BodyMissingError extends Error {
  constructor(readonly id: string) {
    super(`the body of message ${id} is not in the spool`);
    this.name = 'BodyMissingError';
  }
}

/** The spool has no room: the message is answered 452 and may come again. */
export class SpoolFullError extends Error {
  constructor(cause: unknown) {
    super('the spool has no room', { cause });
    this.name = 'SpoolFullError';
  }
}
