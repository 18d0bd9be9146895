import { domainOf } from '@waypost/mail';
import { parseAddresses } from '@waypost/mime';
import { asciiHost, registeredDomain, unicodeHost } from './domains.js';
import { shown } from './headers.js';
import type { Link } from './html.js';
import type { SpamInput } from './input.js';
import { deceptiveLabel } from './lookalike.js';
import type { Report } from './symbols.js';

/** A link to the web, taken apart. */
export interface WebLink {
  readonly link: Link;
  /** In ASCII and lower case. */
  readonly host: string;
  readonly url: URL;
}

const MOST = 500;
const LONGEST = 4_096;
const LONGEST_HOST = 255;
const IN_TEXT = /\bhttps?:\/\/[^\s<>"')\]]{3,2000}/gi;

/** @returns the links of a message, those written out in its text too. */
export function linksOf({ mail, html }: Pick<SpamInput, 'mail' | 'html'>): Link[] {
  const found: Link[] = [...html.links];
  for (const [href] of mail.plainText().matchAll(IN_TEXT)) {
    if (found.length >= MOST) break;
    found.push({ href: withoutMarks(href), text: '' });
  }
  return found.slice(0, MOST);
}

/** Marks at its end belong to the sentence. Without a regular expression, which would take quadratic time on many. */
function withoutMarks(text: string): string {
  let end = text.length;
  while (end > 0 && '.,;:!?'.includes(text.charAt(end - 1))) end -= 1;
  return text.slice(0, end);
}

/** @returns the link taken apart where it is one to the web; its blanks, as browsers do, left out. */
export function webLink(link: Link): WebLink | undefined {
  const text = link.href.slice(0, LONGEST).replace(/[\t\r\n]/g, '');
  const whole = /^\s*(?:https?:|\/\/)/i.test(text) ? text.replace(/^\s*\/\//, 'http://') : undefined;
  if (whole === undefined || !URL.canParse(whole)) return undefined;
  const url = new URL(whole);
  // Longer names are no host's (RFC 1035 §2.3.4).
  if (url.hostname === '' || url.hostname.length > LONGEST_HOST) return undefined;
  return { link, host: url.hostname.toLowerCase().replace(/\.+$/, ''), url };
}

/** Looks at where links go (and where they say that they go). */
export function checkLinks(input: SpamInput, report: Report): WebLink[] {
  const web: WebLink[] = [];
  for (const link of linksOf(input)) {
    if (/^\s*data:\s*(?:text\/html|application|image\/svg)/i.test(link.href)) report('LINK_DATA', shown(link.href));
    else if (/^\s*(?:java|vb)script:/i.test(link.href.replace(/[\t\r\n]/g, '')))
      report('LINK_SCRIPT', shown(link.href));
    const one = webLink(link);
    if (!one) continue;
    web.push(one);
    checkForm(one, report);
    checkHost(one, input, report);
    checkShown(one, report);
  }
  checkFrom(input, report);
  return web;
}

const SHORTENERS = new Set(
  (
    'bit.ly tinyurl.com goo.gl t.co ow.ly is.gd buff.ly cutt.ly rebrand.ly rb.gy shorturl.at tiny.cc bl.ink t.ly s.id v.gd lnkd.in ' +
    'snip.ly soo.gd clck.ru qr.ae trib.al'
  ).split(' '),
);
const PROGRAM = /\.(?:exe|scr|com|pif|bat|cmd|vbs|vbe|jse?|wsf|hta|msi|jar|lnk|iso|img|apk|dmg|ps1)$/i;

function checkForm({ url, host, link }: WebLink, report: Report): void {
  const written = hostAsWritten(link.href);
  if (/^\[|^\d{1,3}(?:\.\d{1,3}){3}$/.test(host)) {
    const disguised = !host.startsWith('[') && written !== host;
    report(disguised ? 'LINK_ADDRESS_DISGUISED' : 'LINK_ADDRESS', shown(written));
  } else if (written.includes('%')) report('LINK_ESCAPED_HOST', shown(written));
  if (url.username !== '' && /[.@]|%40/.test(url.username)) report('LINK_USER', shown(link.href));
  if (url.port !== '' && !/^(?:80|443|8080|8443)$/.test(url.port))
    report('LINK_PORT', `port ${url.port} of ${shown(host)}`);
  if (SHORTENERS.has(host.replace(/^www\./, ''))) report('LINK_SHORTENER', shown(host));
  if (PROGRAM.test(url.pathname)) report('LINK_PROGRAM', shown(url.pathname.slice(-60)));
  const inner = link.href.slice(8, LONGEST).match(/https?(?::|%3a|%253a)(?:\/|%2f|%252f){2}/gi)?.length ?? 0;
  if (inner >= 2) report('LINK_REDIRECTS', `${inner} links within one to ${shown(host)}`);
}

/** @returns the host's place in a link as it stands there, before it is decoded or a number is read. */
function hostAsWritten(href: string): string {
  const [, authority = ''] = /^\s*(?:https?:)?[/\\]*([^/?#\\]*)/i.exec(href) ?? [];
  return authority
    .slice(authority.lastIndexOf('@') + 1)
    .replace(/:\d*$/, '')
    .toLowerCase();
}

function checkHost({ host }: WebLink, { lookalikes }: SpamInput, report: Report): void {
  if (host.includes('xn--')) {
    const label = deceptiveLabel(host);
    if (label) report('LINK_MIXED_SCRIPTS', `"${shown(label)}"`);
    else report('LINK_PUNYCODE', shown(unicodeHost(host)));
  }
  const like = lookalikes.lookalike(host);
  if (like) return report('LINK_LOOKALIKE', `${shown(unicodeHost(host))} looks like ${like}`);
  const within = lookalikes.within(host);
  if (within) report('LINK_BRAND_IN_HOST', `${shown(host)} is not ${within}`);
}

/** A host at the beginning of what is shown, with or without a scheme. */
const SHOWN_HOST = /^\s*(?:https?:\/\/)?((?:[\p{L}\p{N}-]{1,63}\.){1,8}\p{L}{2,24})(?:[/:?#][^\s]*)?\s*$/iu;

function checkShown({ link, host }: WebLink, report: Report): void {
  const said = SHOWN_HOST.exec(link.text.slice(0, 500))?.[1];
  const named = said && asciiHost(said);
  // A file's name looks like a host's.
  if (!named || /\.(?:pdf|docx?|xlsx?|pptx?|zip|jpe?g|png|gif|txt|html?|php|aspx?)$/i.test(named)) return;
  const there = registeredDomain(host);
  if (registeredDomain(named) !== there) report('LINK_TEXT_MISMATCH', `shows ${shown(said)}, goes to ${shown(there)}`);
}

function checkFrom({ mail, lookalikes }: SpamInput, report: Report): void {
  const [from] = parseAddresses(mail.header('from') ?? '');
  const domain = asciiHost(domainOf(from?.address ?? ''));
  if (!domain) return;
  const label = deceptiveLabel(domain);
  if (label) report('FROM_MIXED_SCRIPTS', `"${shown(label)}"`);
  const like = lookalikes.lookalike(domain) ?? lookalikes.within(domain);
  if (like) report('FROM_LOOKALIKE', `${shown(unicodeHost(domain))} looks like ${like}`);
}
