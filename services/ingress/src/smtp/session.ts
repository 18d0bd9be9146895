import type { ListenerConfig, Networks } from '@waypost/config';
import {
  domainOf,
  type Envelope,
  isInternational,
  matchDomain,
  type Notify,
  normaliseAddress,
  type Origin,
  parseOrcpt,
  type Recipient,
  SmtpError,
} from '@waypost/mail';

import type { SMTPServerAddress, SMTPServerSession } from 'smtp-server';
import type { Credential } from '../ports.js';

/** Who may use a listener, and for what. */
export interface SessionRules {
  readonly listener: ListenerConfig;
  readonly allow: Networks;
  /** Whose postmaster `<postmaster>` is. */
  readonly hostname: string;
}

/**
 * Answers MAIL FROM.
 * @returns the reverse-path, '' where it is null.
 * @throws SmtpError
 */
export function checkSender(address: SMTPServerAddress, session: SMTPServerSession, rules: SessionRules): string {
  if (rules.listener.kind === 'relay' && !rules.allow.has(session.remoteAddress)) {
    throw new SmtpError(554, '5.7.1', "Relay access denied: your address is not in this listener's networks");
  }
  const sender = address.address === '' ? '' : checkAddress(address.address, session, 'sender');
  if (rules.listener.kind === 'submission') {
    const credential = session.user as unknown as Credential | undefined;
    if (!credential) throw new SmtpError(530, '5.7.0', 'Authentication required');
    if (sender !== '' && !credential.allowsSender(sender)) {
      throw new SmtpError(553, '5.7.1', `Sender address rejected: this credential may not send as ${sender}`);
    }
  }
  return sender;
}

/**
 * Answers RCPT TO.
 * @throws SmtpError
 */
export function checkRecipient(address: SMTPServerAddress, session: SMTPServerSession, rules: SessionRules): void {
  // RFC 5321 §4.5.1: everyone can reach the postmaster, without naming a domain.
  if (address.address.toLowerCase() === 'postmaster') {
    address.address = `postmaster@${rules.hostname}`;
    return;
  }
  const recipient = checkAddress(address.address, session, 'recipient');
  const { kind, domains } = rules.listener;
  if (kind === 'mx' && !domains.some((pattern) => pattern !== '*' && matchDomain(pattern, domainOf(recipient)))) {
    throw new SmtpError(550, '5.7.1', 'Relay access denied: this server takes no mail for that domain');
  }
}

function checkAddress(text: string, session: SMTPServerSession, what: 'sender' | 'recipient'): string {
  const address = normaliseAddress(text);
  if (address === undefined)
    throw new SmtpError(501, what === 'sender' ? '5.1.7' : '5.1.3', `Bad ${what} address syntax`);
  if (isInternational(address) && !envelopeOf(session).smtpUtf8) {
    throw new SmtpError(553, '5.6.7', `Non-ASCII ${what} address needs SMTPUTF8`);
  }
  return address;
}

/** @returns the envelope of the transaction that reached DATA. */
export function toEnvelope(session: SMTPServerSession): Envelope {
  const envelope = envelopeOf(session);
  const from = envelope.mailFrom || undefined;
  const { ret, envid } = envelope.dsn ?? {};
  return {
    sender: from?.address ? (normaliseAddress(from.address) ?? '') : '',
    recipients: envelope.rcptTo.map(toRecipient),
    body: envelope.bodyType === '8bitmime' ? '8BITMIME' : '7BIT',
    ...(ret ? { ret: ret as 'FULL' | 'HDRS' } : {}),
    ...(envid ? { envid } : {}),
    ...(envelope.smtpUtf8 ? { smtputf8: true } : {}),
    ...(envelope.requireTLS ? { requireTls: true } : {}),
  };
}

function toRecipient(address: SMTPServerAddress): Recipient {
  const { notify, orcpt } = dsnOf(address);
  return {
    address: normaliseAddress(address.address) ?? address.address,
    ...(notify ? { notify: notify as Notify[] } : {}),
    ...(orcpt ? { orcpt: decodeOrcpt(orcpt) } : {}),
  };
}

/** smtp-server has undone xtext; the escapes of the utf-8 address type (RFC 6533 §3) are left to us. */
const decodeOrcpt = (orcpt: string) => (/^utf-8;/i.test(orcpt) ? (parseOrcpt(orcpt) ?? orcpt) : orcpt);

/** @returns how the message came, for the Received field, logs and policy. */
export function toOrigin(session: SMTPServerSession, listener: ListenerConfig): Origin {
  const credential = session.user as unknown as Credential | undefined;
  const tenant = credential?.tenant ?? listener.tenant;
  const tls = session.tlsOptions;
  return {
    kind: listener.kind,
    listener: listener.name,
    remoteAddress: session.remoteAddress,
    protocol: session.transmissionType,
    ...(session.hostNameAppearsAs ? { helo: session.hostNameAppearsAs } : {}),
    ...(credential ? { credential: credential.id } : {}),
    ...(tenant ? { tenant } : {}),
    ...(tls ? { tls: `${tls.version ?? 'TLS'} ${tls.name}` } : {}),
  };
}

interface FullEnvelope {
  readonly mailFrom: SMTPServerAddress | false;
  readonly rcptTo: SMTPServerAddress[];
  readonly bodyType?: string;
  readonly smtpUtf8?: boolean;
  readonly requireTLS?: boolean;
  readonly dsn?: { readonly ret: string | null; readonly envid: string | null };
}

const envelopeOf = (session: SMTPServerSession) => session.envelope as unknown as FullEnvelope;
const dsnOf = (address: SMTPServerAddress) =>
  (address as { dsn?: { notify?: string[]; orcpt?: string } }).dsn ?? ({} as { notify?: string[]; orcpt?: string });
