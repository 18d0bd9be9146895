import type { AccessLists, Bans, CallForward, Greylist, Habits, Limiter, RecipientList } from '@waypost/abuse';
import type { Tarpit } from '@waypost/smtp';

/** A credential that was proven, for SMTP AUTH or an API request. */
export interface Credential {
  /** Public id of the key. */
  readonly id: string;
  readonly tenant?: string;
  readonly scopes: readonly string[];
  /** Whether this credential may send as an address. */
  allowsSender(address: string): boolean;
}

/** Proves credentials; `store`'s KeyStore implements it. */
export interface Authenticator {
  /** @param user any name, or the key's id. @param password the key's secret. @returns undefined where it does not hold. */
  authenticate(input: { user: string; password: string; remoteAddress?: string }): Promise<Credential | undefined>;
}

/** What keeps abuse out; shared by all listeners and the HTTP API of a process. */
export interface AbuseControl {
  readonly bans: Bans;
  readonly limiter: Limiter;
  readonly habits: Habits;
  readonly tarpit: Tarpit;
  readonly lists: AccessLists;
  readonly greylist: Greylist;
  readonly recipients: RecipientList;
  readonly callForward: CallForward;
  readonly names: NameChecks;
}

/** What DNS says of those who send mail in; none of it rejects. */
export interface NameChecks {
  /** Whether mail can be sent to a domain: `missing` where it does not exist, `refuses` where it says so (RFC 7505). */
  senderDomain(domain: string): Promise<'exists' | 'missing' | 'refuses' | 'unknown'>;
  /** SPF's result (RFC 7208 §2.6). */
  spf(client: { readonly ip: string; readonly helo: string; readonly sender: string }): Promise<string>;
  /** Points of a client in DNS lists, and why; absent where there are no lists. */
  listed?(address: string): Promise<{ readonly score: number; readonly reason: string } | undefined>;
}
