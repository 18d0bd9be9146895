/** Where the spool keeps a body. `inline` lives in Redis beside the record; the others in a blob store. */
export interface BodyRef {
  readonly at: 'inline' | 'fs' | 's3' | 'redis';
  /** Octets as stored, our own Received header included. */
  readonly size: number;
  /** Of a form that policy made of the message beside the one that came in: hex digits of its hash. */
  readonly variant?: string;
}

/** Octets [start, end) of a stored message that do not leave with it, in order. */
export type Cut = readonly (readonly [start: number, end: number])[];
