import type { Bans, Limiter } from '@waypost/abuse';
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
  readonly tarpit: Tarpit;
}
