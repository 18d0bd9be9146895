import type { BounceSettings } from '@waypost/config';
import { normaliseAddress, SmtpError } from '@waypost/mail';
import type { RateLimiter } from '@waypost/store';
import { reportAddress } from '@waypost/verp';

/** Reports a day on one recipient, or on a transaction of several: whoever got the mail has the token. */
const PER_DAY = { own: 20, shared: 1_000 };

/** Answers RCPT to the addresses that bounces and complaints come back to. */
export class ReportRecipients {
  /** @param limiter with a window of a day. */
  constructor(
    private readonly settings: () => BounceSettings,
    private readonly limiter: RateLimiter,
  ) {}

  /** @returns whether an address is for reports, good or not. */
  covers(address: string): boolean {
    return reportAddress(this.settings(), address) !== undefined;
  }

  /**
   * Lets in what bears a token of ours, and complaints.
   * @param others recipients that the transaction has already.
   * @throws SmtpError
   */
  async check(text: string, others: readonly string[]): Promise<void> {
    const address = normaliseAddress(text);
    const found = address === undefined ? undefined : reportAddress(this.settings(), address);
    if (!found || found.kind === 'unknown') throw new SmtpError(550, '5.1.1', 'No such address here');
    // Each report is dealt with as a whole.
    if (others.length > 0) throw ALONE();
    if (found.kind === 'feedback') return;
    const { id, i } = found.subject;
    const limit = i === undefined ? PER_DAY.shared : PER_DAY.own;
    const { allowed } = await this.limiter.take(`report:${id}:${i ?? ''}`, limit);
    if (!allowed) throw new SmtpError(450, '4.7.1', 'Too many reports on one message, try again tomorrow');
  }

  /** @throws SmtpError where a report is already in the transaction that another recipient is to share. */
  checkCompany(others: readonly string[]): void {
    if (others.some((one) => this.covers(one))) throw ALONE();
  }
}

/** The client sends the others in transactions of their own (RFC 5321 §4.5.3.1.10). */
const ALONE = () => new SmtpError(452, '4.5.3', 'A report goes alone; send this recipient in a transaction of its own');
