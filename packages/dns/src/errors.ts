import { SmtpError } from '@waypost/mail';

/** Why a domain or host gave no address to send to. */
export type ResolveErrorKind = 'null-mx' | 'not-found' | 'bad-name' | 'loop' | 'temporary';

const REPLIES: Record<ResolveErrorKind, readonly [number, string]> = {
  'null-mx': [556, '5.1.10'],
  'not-found': [550, '5.4.4'],
  'bad-name': [550, '5.1.2'],
  loop: [554, '5.4.6'],
  temporary: [451, '4.4.3'],
};

/** No address to send to. `reply` is what a DSN and the logs say; only `temporary` is worth another attempt. */
export class ResolveError extends SmtpError {
  readonly kind: ResolveErrorKind;

  constructor(kind: ResolveErrorKind, text: string, options?: { cause?: unknown }) {
    const [code, enhanced] = REPLIES[kind];
    super(code, enhanced, text, options);
    this.name = 'ResolveError';
    this.kind = kind;
  }

  get permanent(): boolean {
    return this.kind !== 'temporary';
  }
}
