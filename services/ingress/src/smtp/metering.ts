import { HeldError, LimitedError, type Metered } from '@waypost/abuse';
import type { ListenerConfig } from '@waypost/config';
import { domainOf, SmtpError } from '@waypost/mail';
import type { Metrics } from '@waypost/runtime';
import type { SMTPServerSession } from 'smtp-server';
import type { AbuseControl } from '../ports.js';
import { toOrigin } from './session.js';

/** Holds the transactions of one listener's sessions against the limits. */
export class Metering {
  readonly #open = new WeakMap<SMTPServerSession, Metered>();

  constructor(
    private readonly listener: ListenerConfig,
    private readonly abuse: Pick<AbuseControl, 'limiter' | 'habits'>,
    private readonly metrics: Metrics,
  ) {}

  /**
   * At MAIL.
   * @param size octets that the client announced (RFC 1870), 0 where it did not.
   * @returns undefined where nothing limits it. @throws SmtpError 452 4.7.1 (rejects), 450 4.7.1 where the credential is held
   */
  begin(session: SMTPServerSession, sender: string, size: number): Promise<void> | undefined {
    this.abandoned(session);
    const { kind, credential, tenant, remoteAddress } = toOrigin(session, this.listener);
    this.#checkHeld(credential);
    const usage = { kind: kind as ListenerConfig['kind'], credential, tenant, address: remoteAddress, sender };
    const begun = this.abuse.limiter.begin(usage, size);
    return begun?.then(
      (metered) => void this.#open.set(session, metered),
      (error) => this.#refuse(error, 452),
    );
  }

  /** At RCPT. @returns undefined where nothing limits it. @throws SmtpError 450 or 452 4.7.1 (rejects) */
  recipient(session: SMTPServerSession, address: string): Promise<void> | undefined {
    return this.#open
      .get(session)
      ?.recipient(domainOf(address))
      .catch((error) => this.#refuse(error, 452));
  }

  /** The message was accepted with so many octets. */
  accepted(session: SMTPServerSession, octets: number, recipients: number): void {
    this.abuse.habits.sent(toOrigin(session, this.listener).credential, recipients);
    this.#open.get(session)?.accepted(octets);
    this.#open.delete(session);
  }

  /** The transaction came to nothing. */
  abandoned(session: SMTPServerSession): void {
    this.#open.get(session)?.abandoned();
    this.#open.delete(session);
  }

  #checkHeld(credential: string | undefined): void {
    try {
      this.abuse.habits.check(credential);
    } catch (error) {
      if (!(error instanceof HeldError)) throw error;
      this.metrics.held.inc();
      throw new SmtpError(450, '4.7.1', error.message);
    }
  }

  /** With 452 a client sends what was taken and comes again with the rest (RFC 5321 §4.5.3.1.10). */
  #refuse(error: unknown, code: 450 | 452): never {
    if (!(error instanceof LimitedError)) throw error;
    const { per, measure } = error.charge;
    this.metrics.limited.inc({ per, measure });
    const reply = per === 'recipient_domain' ? 450 : code;
    throw new SmtpError(reply, '4.7.1', `${error.message}, try again in ${error.retryAfter} s`);
  }
}
