import { isDomain } from './address.js';
import type { MessageMeta } from './message.js';

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const two = (value: number) => String(value).padStart(2, '0');

/** @returns a date-time in UTC (RFC 5322 §3.3). */
export function formatDate(time: number): string {
  const d = new Date(time);
  return (
    `${DAYS[d.getUTCDay()]}, ${d.getUTCDate()} ${MONTHS[d.getUTCMonth()]} ${d.getUTCFullYear()} ` +
    `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())} +0000`
  );
}

/**
 * @param hostname ours, for the `by` clause.
 * @returns our Received field, folded, ended by CRLF (RFC 5321 §4.4, with-protocols of RFC 3848 and RFC 6531 §4.3, tls
 *   of RFC 8314 §4.3).
 */
export function receivedField(
  hostname: string,
  meta: Pick<MessageMeta, 'id' | 'origin' | 'receivedAt' | 'envelope'>,
): string {
  const { origin, envelope } = meta;
  const only = envelope.recipients.length === 1 ? forClause(envelope.recipients[0]?.address ?? '') : '';
  const lines = [
    `Received: ${fromClause(origin.helo, origin.remoteAddress)}`,
    `by ${hostname} (Waypost) with ${withProtocol(origin.protocol, envelope.smtputf8 === true)} id ${meta.id}`,
    ...(only ? [only] : []),
    ...(origin.tls ? [tlsClause(origin.tls)] : []),
  ];
  return `${lines.join('\r\n\t')};\r\n\t${formatDate(meta.receivedAt)}\r\n`;
}

/** A HELO that is no domain and no address stands in the comment, where it can say nothing but itself. */
function fromClause(helo: string | undefined, remoteAddress: string | undefined): string {
  if (!remoteAddress) return 'from localhost';
  const address = `[${remoteAddress.includes(':') ? 'IPv6:' : ''}${safe(remoteAddress)}]`;
  if (!helo) return `from ${address} (${address})`;
  if (/^[\x21-\x7e]+$/.test(helo) && !/[()\\;<>"]/.test(helo) && isDomain(helo)) return `from ${helo} (${address})`;
  return `from ${address} (helo=${safe(helo)})`;
}

function withProtocol(protocol: string, smtputf8: boolean): string {
  return smtputf8 && /^ESMTPS?A?$/.test(protocol) ? `UTF8${protocol.slice(1)}` : safe(protocol);
}

/**
 * Left out where the address is not plain: the field must not need SMTPUTF8, nor a quoted string survive being
 * rewritten.
 */
function forClause(address: string): string {
  return /^[\x21-\x7e]+$/.test(address) && !/[()\\;<>",]/.test(address) ? `for <${address}>` : '';
}

/** @param tls protocol and cipher suite, as in `Origin.tls`. */
function tlsClause(tls: string): string {
  const match = /^(\S+) (TLS_[A-Z0-9_]+)$/.exec(tls);
  return match ? `tls ${match[2]} (${safe(match[1] ?? '')})` : `(${safe(tls)})`;
}

/** What a peer said, without what could end a comment or a line. */
const safe = (text: string) => text.replace(/[^\x20-\x27\x2a-\x3a\x3c-\x5b\x5d-\x7e]/g, '?').slice(0, 255);

/** @returns the Return-Path field that final delivery puts first (RFC 5321 §4.4), ended by CRLF. */
export function returnPathField(sender: string): string {
  return `Return-Path: <${sender}>\r\n`;
}
