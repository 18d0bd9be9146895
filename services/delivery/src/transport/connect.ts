import { type Hop, HopError, SmtpClient } from '@waypost/smtp';
import type { TlsSession } from '@waypost/transport-security';
import type { Guard, TransportGuards } from './guard.js';
import { failedSession, sessionOf, type TlsObserver, type Tried } from './sessions.js';

export interface ConnectDeps {
  readonly guards: TransportGuards;
  readonly onTls: TlsObserver;
}

/**
 * Connects to a mail exchanger that shows what it has to; whatever becomes of it, reports to the domain tell of it.
 * @throws HopError; SmtpError where no exchanger of the domain may have the mail.
 */
export async function connectGuarded(
  hop: Omit<Hop, 'tls'>,
  tried: Tried,
  { guards, onTls }: ConnectDeps,
): Promise<{ client: SmtpClient; guard: Guard }> {
  let guard: Guard | undefined;
  let told = false;
  // One try is one session, though it may go on in the clear.
  const tell = (session: TlsSession | undefined) => {
    if (session && !told) onTls(session);
    told ||= session !== undefined;
  };
  const failed = (error: unknown) => tell(failedSession(tried, guard, error));
  try {
    guard = await guards.guard(tried.candidate, tried.demand);
    const client = await connectHop({ ...hop, tls: guard.tls, authenticate: guard.authenticate }, failed);
    tell(sessionOf(tried, guard, client));
    return { client, guard };
  } catch (error) {
    failed(error);
    throw error;
  }
}

/**
 * Connects; opportunistic TLS that fails goes on in the clear, over a new connection (RFC 7435).
 * @param onTlsFailure told of that.
 * @throws HopError
 */
export async function connectHop(hop: Hop, onTlsFailure?: (error: HopError) => void): Promise<SmtpClient> {
  try {
    return await SmtpClient.connect(hop);
  } catch (error) {
    if (hop.tls !== 'opportunistic' || !(error instanceof HopError) || error.phase !== 'starttls') throw error;
    onTlsFailure?.(error);
    return SmtpClient.connect({ ...hop, tls: 'none' });
  }
}
