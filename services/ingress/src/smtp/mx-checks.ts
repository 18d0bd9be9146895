import type { Config, ListenerConfig, MxSettings } from '@waypost/config';
import { domainOf, isDomain, matchDomain, SmtpError } from '@waypost/mail';
import type { Metrics } from '@waypost/runtime';
import type { SMTPServerSession } from 'smtp-server';
import type { AbuseControl } from '../ports.js';

export interface MxCheckDeps {
  readonly abuse: AbuseControl;
  readonly config: () => Config;
  readonly metrics: Metrics;
}

/** What is known of the transaction under way. */
interface Sender {
  readonly address: string;
  /** SPF's result, asked for once and only where something hangs on it. */
  spf: Promise<string> | undefined;
}

/** The cheap checks of an mx listener's sessions: what can be refused here needs not be taken, scanned and bounced. */
export class MxChecks {
  readonly #senders = new WeakMap<SMTPServerSession, Sender>();

  constructor(
    private readonly listener: ListenerConfig,
    private readonly deps: MxCheckDeps,
  ) {}

  /**
   * At MAIL.
   * @param sender '' for the null reverse-path.
   * @returns undefined where nothing has to be waited for. @throws SmtpError, also rejecting.
   */
  mail(session: SMTPServerSession, sender: string): Promise<void> | undefined {
    if (!this.#applies(session)) return undefined;
    this.#senders.set(session, { address: sender, spf: undefined });
    const { mx, greylist } = this.deps.config().abuse;
    this.#helo(String(session.hostNameAppearsAs || ''), mx);
    const claims = sender !== '' && mx.spoofing !== 'off' && this.#isOurs(domainOf(sender));
    const asked = mx.sender_domain !== 'off' || mx.spf !== 'off' || mx.dns_lists_reject > 0;
    if (greylist.when === 'suspicious') void this.#spf(session);
    return claims || asked ? this.#askNames(session, sender, mx, claims) : undefined;
  }

  /** At RCPT, for a recipient that the listener takes mail for. The same. */
  rcpt(session: SMTPServerSession, recipient: string): Promise<void> | undefined {
    if (this.listener.kind !== 'mx') return undefined;
    const { recipients, greylist } = this.deps.config().abuse;
    // RFC 5321 §4.5.1: everyone can reach the postmaster.
    if (/^postmaster@/i.test(recipient)) return undefined;
    const known = this.deps.abuse.recipients.has(recipient);
    if (known === false) throw this.#refused('recipient', UNKNOWN());
    const ask = known === undefined && recipients.call_forward.to !== undefined;
    if (!ask && (greylist.when === 'never' || !this.#applies(session))) return undefined;
    return this.#askRecipient(session, recipient, ask);
  }

  /** @returns the domains that no author of the message may claim; undefined where all may be. */
  foreignDomains(session: SMTPServerSession): ((domain: string) => boolean) | undefined {
    if (this.deps.config().abuse.mx.spoofing !== 'header' || !this.#applies(session)) return undefined;
    return (domain) => this.#isOurs(domain);
  }

  /** Not for those who are always let in. */
  #applies({ remoteAddress }: SMTPServerSession): boolean {
    return this.listener.kind === 'mx' && this.deps.abuse.lists.verdict(remoteAddress) !== 'allow';
  }

  #helo(name: string, { helo }: MxSettings): void {
    if (helo === 'off') return;
    const { hostname } = this.deps.config().server;
    const wrong = !isDomain(name)
      ? 'is neither a domain nor an address in brackets'
      : helo === 'strict' && !name.includes('.') && !name.startsWith('[')
        ? 'is no full name'
        : helo === 'strict' && name.toLowerCase() === hostname.toLowerCase()
          ? 'is the name of this server'
          : undefined;
    if (wrong) throw this.#refused('helo', new SmtpError(550, '5.7.1', `The name you gave in HELO ${wrong}`));
  }

  async #askNames(session: SMTPServerSession, sender: string, mx: MxSettings, claims: boolean): Promise<void> {
    const { names } = this.deps.abuse;
    if (mx.dns_lists_reject > 0) {
      const listed = await names.listed?.(session.remoteAddress);
      if (listed && listed.score >= mx.dns_lists_reject) {
        throw this.#refused('dns_list', new SmtpError(554, '5.7.1', `Your address is listed: ${listed.reason}`));
      }
    }
    if (claims && (await this.#spf(session)) !== 'pass') {
      const text = `Sender address rejected: ${domainOf(sender)} sends from here with a login only`;
      throw this.#refused('spoofing', new SmtpError(550, '5.7.1', text));
    }
    const domain = domainOf(sender);
    if (mx.sender_domain === 'reject' && domain !== '') {
      const found = await names.senderDomain(domain);
      if (found === 'missing')
        throw this.#refused('sender_domain', new SmtpError(550, '5.1.8', 'The domain of the sender does not exist'));
      if (found === 'refuses')
        throw this.#refused('sender_domain', new SmtpError(550, '5.7.27', 'The domain of the sender takes no mail'));
    }
    if (mx.spf === 'reject' && (await this.#spf(session)) === 'fail') {
      const text = `${domain || 'The name in HELO'} says by SPF that your address does not send its mail`;
      throw this.#refused('spf', new SmtpError(550, '5.7.23', text));
    }
  }

  async #askRecipient(session: SMTPServerSession, recipient: string, ask: boolean): Promise<void> {
    if (ask) {
      const existence = await this.deps.abuse.callForward.ask(recipient);
      if (existence === 'missing') throw this.#refused('recipient', UNKNOWN());
      if (existence === 'unknown')
        throw new SmtpError(450, '4.4.3', 'The recipient cannot be looked up now, try again later');
    }
    const { when } = this.deps.config().abuse.greylist;
    if (when === 'never' || !this.#applies(session)) return;
    if (when === 'suspicious' && (await this.#spf(session)) === 'pass') return;
    const sender = this.#senders.get(session)?.address ?? '';
    const wait = await this.deps.abuse.greylist.ask({ address: session.remoteAddress, sender, recipient });
    if (wait !== undefined) {
      throw this.#refused('greylist', new SmtpError(451, '4.7.1', `Greylisted, try again in ${wait} s`));
    }
  }

  #spf(session: SMTPServerSession): Promise<string> {
    const sender = this.#senders.get(session) ?? { address: '', spf: undefined };
    sender.spf ??= this.deps.abuse.names.spf({
      ip: session.remoteAddress,
      helo: String(session.hostNameAppearsAs || ''),
      sender: sender.address,
    });
    return sender.spf;
  }

  #isOurs(domain: string): boolean {
    const { own_domains } = this.deps.config().abuse.mx;
    return [...this.listener.domains, ...own_domains].some((pattern) => matchDomain(pattern, domain));
  }

  #refused(check: string, error: SmtpError): SmtpError {
    this.deps.metrics.turnedAway.inc({ check });
    return error;
  }
}

const UNKNOWN = () => new SmtpError(550, '5.1.1', 'No such recipient here');
