import type { Readable } from 'node:stream';
import type { Envelope, Origin } from '@waypost/mail';
import type { Credential } from '../ports.js';

/** What a session hands over at DATA. */
export interface Incoming {
  readonly envelope: Envelope;
  readonly origin: Origin;
  /** Who logged in; limits the authors of the message too. */
  readonly credential?: Credential | undefined;
  /** Domains that no author may claim in this message. */
  readonly foreign?: ((domain: string) => boolean) | undefined;
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
