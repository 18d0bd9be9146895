import { type Candidate, toAsciiDomain } from '@waypost/dns';
import { HopError, type SmtpClient } from '@waypost/smtp';
import { classifyTlsError, TlsError, type TlsFailure, type TlsSession } from '@waypost/transport-security';
import { type Demand, type Guard, GuardError, type Judged } from './guard.js';

/** Told of each connection to a mail exchanger, as far as its TLS went. */
export type TlsObserver = (session: TlsSession) => void;

/** One connection that is tried, to one host for one domain. */
export interface Tried {
  readonly candidate: Candidate;
  readonly demand: Demand;
}

/** @returns what a connection that was made is to reports; undefined where they say nothing of it. */
export function sessionOf(tried: Tried, { judged }: Guard, client: SmtpClient): TlsSession | undefined {
  if (!judged) return undefined;
  const failure = judged.failure ?? (client.secure ? certificateFailure(judged, client) : NO_STARTTLS);
  return toSession(tried, judged, failure, client.localAddress);
}

/** @returns the same of one that failed; undefined also where it did not come to TLS. */
export function failedSession(tried: Tried, guard: Guard | undefined, error: unknown): TlsSession | undefined {
  if (error instanceof GuardError) return toSession(tried, error.judged, error.judged.failure, undefined);
  if (!guard?.judged || !(error instanceof HopError) || error.phase !== 'starttls') return undefined;
  const { judged } = guard;
  const failure = judged.failure ?? failureOf(error);
  // Where only the sender or the operator asks for a certificate, the domain is not at fault.
  if (judged.policy.type === 'no-policy-found' && failure.type.startsWith('certificate-')) return undefined;
  return toSession(tried, judged, failure, error.localAddress);
}

const NO_STARTTLS: TlsFailure = { type: 'starttls-not-supported' };

/** A policy in testing wants to know what it would have refused (RFC 8461 §5). */
function certificateFailure({ policy }: Judged, { certificateError }: SmtpClient): TlsFailure | undefined {
  if (policy.type !== 'sts' || certificateError === undefined) return undefined;
  return classifyTlsError({ code: certificateError, message: certificateError });
}

function failureOf({ cause, outcome }: HopError): TlsFailure {
  if (cause instanceof TlsError) return cause.failure;
  // It was asked for STARTTLS all the same, and does not know it.
  if (outcome.remote) return outcome.reply.code >= 500 ? NO_STARTTLS : toFailure(outcome.reply);
  const { code, originalCode, message } = cause as Error & { readonly code?: string; readonly originalCode?: string };
  return classifyTlsError({ code: originalCode ?? (code === 'ETLS' ? undefined : code), message });
}

const toFailure = ({ code, text }: { readonly code: number; readonly text: string }): TlsFailure => ({
  type: 'validation-failure',
  reason: `STARTTLS was answered ${code} ${text}`.slice(0, 200),
});

function toSession(
  { candidate, demand }: Tried,
  { policy }: Judged,
  failure: TlsFailure | undefined,
  sendingAddress: string | undefined,
): TlsSession {
  return {
    domain: toAsciiDomain(demand.domain) ?? demand.domain,
    policy,
    mx: candidate.name,
    receivingAddress: candidate.address,
    ...(failure ? { failure } : {}),
    ...(sendingAddress ? { sendingAddress } : {}),
  };
}
