/** What went wrong with TLS to a mail exchanger (RFC 8460 §4.3). */
export type TlsFailureType =
  | 'starttls-not-supported'
  | 'certificate-host-mismatch'
  | 'certificate-expired'
  | 'certificate-not-trusted'
  | 'validation-failure'
  | 'tlsa-invalid'
  | 'dnssec-invalid'
  | 'sts-policy-fetch-error'
  | 'sts-policy-invalid'
  | 'sts-webpki-invalid';

export interface TlsFailure {
  readonly type: TlsFailureType;
  /** A code or a few words that tell more. */
  readonly reason?: string;
}

/** What a domain asks of those who connect to its mail exchangers (RFC 8460 §4.4). */
export interface TlsPolicy {
  readonly type: 'tlsa' | 'sts' | 'no-policy-found';
  /** The recipient domain; of DANE the mail exchanger, under which the records are (RFC 8460 §1.1). */
  readonly domain: string;
  /** The policy as it was found, a line or record each. */
  readonly strings?: readonly string[];
  /** Of MTA-STS: the names it allows. */
  readonly mxHosts?: readonly string[];
}

/** A connection to a mail exchanger, as far as its TLS went. */
export interface TlsSession {
  /** The recipient domain, in lower case as A-labels. */
  readonly domain: string;
  readonly policy: TlsPolicy;
  /** Absent where all was as the policy asks. */
  readonly failure?: TlsFailure;
  readonly sendingAddress?: string;
  readonly mx: string;
  readonly receivingAddress: string;
}

/** Someone is not who the policy says; `failure` is what a report calls it. */
export class TlsError extends Error {
  readonly failure: TlsFailure;

  constructor(type: TlsFailureType, message: string, reason = message) {
    super(message);
    this.failure = { type, reason };
  }
}

/** Codes of OpenSSL's X509 verification that say that nobody vouches for the certificate, as Node names them. */
const UNTRUSTED =
  /^(?:UNABLE_TO_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|CRL_|INVALID_(?:CA|PURPOSE|NON_CA)|PATH_LENGTH_|ERROR_IN_CERT_)/;

/**
 * @param error of Node's TLS; undefined codes are told by their message.
 * @returns what a report calls it.
 */
export function classifyTlsError(error: { readonly code?: string | undefined; readonly message: string }): TlsFailure {
  const { code = '', message } = error;
  const reason = code || message.slice(0, 200);
  if (code === 'CERT_HAS_EXPIRED') return { type: 'certificate-expired' };
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID' || code === 'HOSTNAME_MISMATCH') {
    return { type: 'certificate-host-mismatch' };
  }
  return { type: UNTRUSTED.test(code) ? 'certificate-not-trusted' : 'validation-failure', reason };
}
