import type { ArcFinding } from './arc/check.js';
import type { DkimFinding } from './dkim/check.js';
import type { DmarcFinding } from './dmarc/check.js';
import type { SpfFinding } from './spf/check.js';
import { afterComment } from './structured.js';

/** What all methods found, for one header field. */
export interface Findings {
  readonly spf: SpfFinding;
  readonly dkim: readonly DkimFinding[];
  readonly dmarc: DmarcFinding;
  readonly arc: ArcFinding;
  /** The client's address. */
  readonly remoteAddress: string;
}

const TOKEN = /^[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]+$/;
/** `[[local-part] "@"] domain-name` with a bare local part (RFC 8601 §2.2). */
const MAILBOX = /^[!#$%&'*+\-/=?^_`{|}~.0-9A-Za-z]*@[0-9A-Za-z](?:[-._0-9A-Za-z]*[0-9A-Za-z])?$/;
const LONGEST_VALUE = 320;

/**
 * @param authserv our name in it, by which readers know whom to trust.
 * @returns the value of an Authentication-Results field, folded by method (RFC 8601 §2.2).
 */
export function formatResults(authserv: string, { spf, dkim, dmarc, arc, remoteAddress }: Findings): string {
  const lines = [
    ...(dkim.length > 0 ? dkim.map(dkimLine) : ['dkim=none']),
    entry('spf', spf.result, spf.reason, [[spf.identity === 'helo' ? 'smtp.helo' : 'smtp.mailfrom', spf.domain]]),
    entry('dmarc', dmarc.result, dmarcComment(dmarc), [
      ['header.from', dmarc.domain],
      ['policy.dmarc', dmarc.record ? dmarc.policy : ''],
    ]),
    entry('arc', arc.result, arc.reason ?? (arc.instance > 0 ? `i=${arc.instance}` : undefined), [
      ['smtp.remote-ip', remoteAddress],
    ]),
  ];
  return [`${quoted(authserv)}`, ...lines].join(';\r\n\t');
}

function dkimLine({ result, reason, domain, selector, identity, algorithm, tag, bits, testing }: DkimFinding): string {
  const about = [reason, bits ? `${bits}-bit key` : undefined, testing ? 'testing' : undefined];
  return entry('dkim', result, about.filter(Boolean).join(', '), [
    ['header.d', domain],
    ['header.i', identity],
    ['header.s', selector],
    ['header.a', algorithm],
    ['header.b', tag],
  ]);
}

const dmarcComment = ({ record, reason, disposition, result }: DmarcFinding) =>
  [
    reason,
    record && `p=${record.p}${record.says.sp ? ` sp=${record.sp}` : ''}`,
    result === 'fail' ? `dis=${disposition}` : undefined,
  ]
    .filter(Boolean)
    .join(', ');

function entry(
  method: string,
  result: string,
  comment: string | undefined,
  properties: readonly (readonly [string, string])[],
): string {
  const told = properties.filter(([, value]) => value !== '' && value.length <= LONGEST_VALUE);
  const about = comment ? ` (${commented(comment)})` : '';
  return [`${method}=${result}${about}`, ...told.map(([name, value]) => `${name}=${quoted(value)}`)].join(' ');
}

/** Strangers' text: printable ASCII, with nothing that could end a quoted string early. */
function quoted(value: string): string {
  if (TOKEN.test(value) || MAILBOX.test(value)) return value;
  return `"${value.replace(/[^\x20-\x7e]+/g, '?').replace(/["\\]/g, '\\$&')}"`;
}

const commented = (text: string) =>
  text
    .replace(/[^\x20-\x7e]+/g, ' ')
    .slice(0, LONGEST_VALUE)
    .replace(/[()\\]/g, '\\$&');

/**
 * Whether an Authentication-Results field claims to be ours; such from outside are to be removed (RFC 8601 §5).
 * @param value unfolded.
 */
export function claimsToBe(value: string, authserv: string): boolean {
  // Some readers look at what stands before the first semicolon alone, whatever quotes are around it.
  const [bare = ''] = value.split(';', 1);
  const names = [authservOf(value), bare.replaceAll('"', '').trim()];
  return names.some((name) => name?.toLowerCase() === authserv.toLowerCase());
}

/** @returns the authserv-id of a field's value: after comments, a token or a quoted string. */
function authservOf(value: string): string | undefined {
  let at = 0;
  for (;;) {
    while (/\s/.test(value.charAt(at))) at += 1;
    if (value.charAt(at) !== '(') break;
    at = afterComment(value, at);
  }
  if (value.charAt(at) === '"') {
    const text = /"((?:[^"\\]|\\.)*)"/sy;
    text.lastIndex = at;
    return text.exec(value)?.[1]?.replace(/\\(.)/gs, '$1');
  }
  const token = /[^\s;()"]+/y;
  token.lastIndex = at;
  return token.exec(value)?.[0];
}
