import { SmtpError } from '@waypost/mail';
import type { Runtime } from '@waypost/runtime';
import type { SMTPServerSession } from 'smtp-server';
import type { Authenticator, Credential } from '../ports.js';
import type { Doorkeeper } from './doorkeeper.js';

export interface LoginDeps {
  readonly runtime: Runtime;
  readonly authenticator: Authenticator;
  readonly door: Doorkeeper;
}

export interface Login {
  readonly method: string;
  readonly username?: string | null | undefined;
  readonly password?: string | null | undefined;
}

/** Failed logins one session may make. */
const FAILURES = 3;
/** Slows guessing down without holding much. */
const DELAY = 300;

/** Answers AUTH on the listeners of kind `submission`. */
export class Logins {
  readonly #failures = new WeakMap<SMTPServerSession, number>();

  constructor(private readonly deps: LoginDeps) {}

  /** @returns who logged in. @throws SmtpError: 535, 454 while nothing can be proven, 421 where it is enough. */
  async prove({ username, password }: Login, session: SMTPServerSession): Promise<Credential> {
    const { runtime, authenticator, door } = this.deps;
    door.check(session.remoteAddress);
    const input = { user: username ?? '', password: password ?? '', remoteAddress: session.remoteAddress };
    const credential = await authenticator.authenticate(input).catch((cause: unknown) => {
      throw new SmtpError(454, '4.7.0', 'Authentication is not available now', { cause });
    });
    if (credential?.scopes.includes('send')) return credential;
    runtime.metrics.authFailures.inc({ protocol: 'smtp' });
    door.offended('auth', session.remoteAddress);
    const failures = (this.#failures.get(session) ?? 0) + 1;
    this.#failures.set(session, failures);
    await new Promise<void>((resolve) => {
      setTimeout(resolve, DELAY).unref();
    });
    throw failures >= FAILURES
      ? new SmtpError(421, '4.7.0', 'Too many failed logins, closing connection')
      : new SmtpError(535, '5.7.8', 'Authentication failed: use an API key with the scope "send" as password');
  }
}
