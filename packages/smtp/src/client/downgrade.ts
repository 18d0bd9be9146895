import { domainToASCII } from 'node:url';
import { isInternational, type Reply } from '@waypost/mail';

/** What of a transaction bears on SMTPUTF8. */
export interface International {
  readonly sender: string;
  readonly recipients: readonly string[];
  /** The sender asked for SMTPUTF8. */
  readonly smtputf8: boolean;
  /** The header section is not ASCII alone. */
  readonly utf8Header: boolean;
}

/** A transaction for a peer without SMTPUTF8. */
export interface Downgraded {
  readonly sender: string;
  /** By their place among all. */
  readonly recipients: readonly { readonly at: number; readonly address: string }[];
  /** Why those that are left out cannot have it. */
  readonly refusal: Reply;
}

/** @returns whether a message cannot go without SMTPUTF8 as it is (RFC 6531 §3.4). */
export function needsUtf8({ sender, recipients, smtputf8, utf8Header }: International): boolean {
  return smtputf8 && (utf8Header || isInternational(sender) || recipients.some(isInternational));
}

/**
 * Makes a transaction fit a peer without SMTPUTF8: a domain goes as A-labels, which name the same host (RFC 5891); for a local part
 * or a header field that is not ASCII there is no other form that means the same, and the message has to come back.
 */
export function downgrade({ sender, recipients, utf8Header }: International): Downgraded {
  const from = sender === '' ? '' : asciiAddress(sender);
  if (utf8Header || from === undefined) {
    return { sender, recipients: [], refusal: refusal(utf8Header ? 'the header fields need' : 'the sender needs') };
  }
  const fit = recipients.flatMap((recipient, at) => {
    const address = asciiAddress(recipient);
    return address === undefined ? [] : [{ at, address }];
  });
  return { sender: from, recipients: fit, refusal: refusal('this address needs') };
}

function asciiAddress(address: string): string | undefined {
  const at = address.lastIndexOf('@');
  const local = address.slice(0, at);
  if (isInternational(local)) return undefined;
  const domain = address.slice(at + 1);
  if (!isInternational(domain)) return address;
  const ascii = domainToASCII(domain);
  return ascii === '' ? undefined : `${local}@${ascii}`;
}

/** For good: another try would meet the same host (RFC 6531 §3.5 gives the status). */
const refusal = (what: string): Reply => ({
  code: 550,
  enhanced: '5.6.7',
  text: `The next hop does not support SMTPUTF8, which ${what}`,
});
