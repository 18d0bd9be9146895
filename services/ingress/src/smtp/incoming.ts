import type { Readable } from 'node:stream';
import type { Envelope, Origin } from '@waypost/mail';

/** What a session hands over at DATA. */
export interface Incoming {
  readonly envelope: Envelope;
  readonly origin: Origin;
  /** Octets of the message, terminator excluded; `sizeExceeded` once it is over the limit. */
  readonly stream: Readable & { readonly sizeExceeded: boolean };
}

export interface AcceptSettings {
  readonly hostname: string;
  readonly inlineMax: number;
  readonly headerSize: number;
  readonly receivedLimit: number;
  readonly bareNewlines: 'reject' | 'normalise';
}
