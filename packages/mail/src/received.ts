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
 * @returns our Received field, folded, ended by CRLF (RFC 5321 §4.4, with-protocols of RFC 3848, tls of RFC 8314 §4.3).
 */
export function receivedField(
  hostname: string,
  meta: Pick<MessageMeta, 'id' | 'origin' | 'receivedAt' | 'envelope'>,
): string {
  const { origin, envelope } = meta;
  const from = origin.remoteAddress
    ? `from ${safe(origin.helo ?? 'unknown')} (${literal(origin.remoteAddress)})`
    : 'from localhost';
  const only = envelope.recipients.length === 1 ? envelope.recipients[0]?.address : undefined;
  const lines = [
    `Received: ${from}`,
    ` by ${hostname} (Waypost) with ${origin.protocol} id ${meta.id}`,
    ...(origin.tls ? [` (${safe(origin.tls)})`] : []),
    ...(only ? [` for <${safe(only)}>`] : []),
  ];
  return `${lines.join('\r\n\t')};\r\n\t${formatDate(meta.receivedAt)}\r\n`.replaceAll('\t ', '\t');
}

const literal = (address: string) => `[${address.includes(':') ? 'IPv6:' : ''}${safe(address)}]`;
/** What a peer said, without what could end a comment or a line. */
const safe = (text: string) => text.replace(/[^\x21-\x27\x2a-\x5b\x5d-\x7e\u0080-\uffff ]/g, '?').slice(0, 255);
