import type { ListenerConfig, Networks, Offence } from '@waypost/config';
import { SmtpError } from '@waypost/mail';
import type { Metrics } from '@waypost/runtime';
import type { Refusal } from '@waypost/smtp';
import type { AbuseControl } from '../ports.js';

export interface DoorkeeperDeps {
  readonly abuse: AbuseControl;
  readonly metrics: Metrics;
}

/** Says who may come in by one listener, and reports who behaves badly. */
export class Doorkeeper {
  constructor(
    private readonly listener: ListenerConfig,
    /** Networks the listener trusts: what goes wrong there is a matter for their operator. */
    private readonly trusted: Networks,
    /** Proxies: they speak for others, and in a health check for themselves. */
    private readonly proxies: Networks,
    private readonly deps: DoorkeeperDeps,
  ) {}

  /** @returns why a connection is not let in, before it has a session; undefined where it is. */
  readonly gate = (address: string): Refusal | undefined => {
    const why = this.#why(address);
    if (why === undefined) return undefined;
    this.deps.metrics.turnedAway.inc({ check: why });
    return { reply: why === 'deny' ? `554 5.7.1 ${DENIED}` : `421 4.7.0 ${BANNED}`, slow: true };
  };

  #why(address: string): 'deny' | 'ban' | undefined {
    const { lists, bans } = this.deps.abuse;
    const verdict = lists.verdict(address);
    if (verdict === 'allow') return undefined;
    if (verdict === 'deny') return 'deny';
    return bans.find(address) === undefined ? undefined : 'ban';
  }

  /** Within a session, as the address may have been banned since it began. @throws SmtpError 421, which ends it, or 554. */
  check(address: string): void {
    const why = this.#why(address);
    if (why === undefined) return;
    this.deps.metrics.turnedAway.inc({ check: why });
    if (why === 'deny') throw new SmtpError(554, '5.7.1', DENIED);
    throw new SmtpError(421, '4.7.0', BANNED);
  }

  /** Counts something that an address did wrong. */
  readonly offended = (offence: Offence, address: string): void => {
    if (this.listener.kind === 'relay' && this.trusted.has(address)) return;
    // A ban of theirs would keep out everybody behind them.
    if (this.proxies.has(address)) return;
    if (this.deps.abuse.lists.verdict(address) === 'allow') return;
    this.deps.abuse.bans.offend(address, offence);
  };

  /** Of refusals some are offences: recipients that are tried out, line ends that hide a second message. */
  refused(error: unknown, at: 'rcpt' | 'data', address: string): void {
    if (!(error instanceof SmtpError) || this.listener.kind !== 'mx') return;
    const { code, enhanced } = error.reply;
    if (at === 'rcpt' && code === 550) this.offended('recipient', address);
    if (at === 'data' && enhanced === '5.5.2') this.offended('smuggling', address);
  }
}

const DENIED = 'Access denied';
const BANNED = 'Too many failures from your address, try again later';
