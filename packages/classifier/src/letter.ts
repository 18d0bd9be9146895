import { type MailPart, type ParsedMail, parseAddresses, parseMail } from '@waypost/mime';
import { hostOf, type Markup, readMarkup } from './markup.js';

/** What the classifier looks at of a message: its words, and facts about how it is made. */
export interface Letter {
  /** Decoded, without what lists and replies put before it. */
  readonly subject: string;
  /** What is shown of the body: without quotes, signature and the footers of lists. */
  readonly text: string;
  /** Short names such as `html only`. */
  readonly facts: readonly string[];
  /** How the header section is made. */
  readonly headers: readonly string[];
  /** How the markup is made. */
  readonly markup: readonly string[];
  /** Words in the targets of links, their hosts left out. */
  readonly links: readonly string[];
  /** Hosts linked to, in lower case, without repeats. */
  readonly hosts: readonly string[];
}

/** Octets of a message that are looked at; what comes after them is an attachment, or nobody reads it. */
export const MOST_OCTETS = 262_144;
/** Octets of one part that become text. */
const MOST_PART = 65_536;
/**
 * Characters of text that are looked at, of the plain and the HTML form each: most at the beginning, which is what people
 * read, and some at the end, where the offer and the way out of it stand. All of a long text would drown both.
 */
const BEGINNING = 3_584;
const ENDING = 1_024;
/** Characters of a form that are unpacked to find its end. */
const MOST_TEXT = 16_384;
/** What of a message's structure is looked at. */
const READ_LIMITS = { parts: 50, depth: 10, text: MOST_PART };

/**
 * Takes a message apart as far as it is looked at: its beginning, without a leading mbox line. Never throws; the cost is
 * bounded whatever the message's size.
 */
export function openMail(message: Buffer): ParsedMail {
  return parseMail(withoutEnvelopeLine(message).subarray(0, MOST_OCTETS), READ_LIMITS);
}

/** Reads a message for classification: transfer encodings and charsets decoded, HTML as it is shown. Never throws. */
export function letterOf(mail: ParsedMail): Letter {
  const plain = bodyText(mail.plainText().slice(0, MOST_TEXT));
  const html = mail.htmlText().slice(0, MOST_PART);
  const markup = html === '' ? undefined : readMarkup(html, MOST_TEXT);
  const shown = markup ? bodyText(markup.text) : '';
  const links = [...(markup?.links ?? []), ...plainLinks(plain)];
  const hosts = [...new Set(links.map(hostOf).filter((host) => host !== undefined))];
  const subject = mail.subject.slice(0, 1_000);
  return {
    subject: subject.replace(/^(?:\s*(?:(?:re|fwd?|aw|wg|sv|vs|antw?)(?:\[\d+\])?\s*:|\[[^\]]{1,40}\]))+/i, '').trim(),
    text: plain && shown ? `${plain}\n${shown}` : plain || shown,
    facts: factsOf({ mail, subject, plain, shown, markup, links, hosts }),
    headers: headerTraits(mail),
    markup: markup?.traits ?? [],
    links: linkWords(links),
    hosts: hosts.slice(0, 50),
  };
}

/** An mbox's separator line (RFC 4155) is no part of the message. */
export function withoutEnvelopeLine(message: Buffer): Buffer {
  if (message.toString('latin1', 0, 5) !== 'From ') return message;
  return message.subarray(message.indexOf(0x0a) + 1 || message.length);
}

/** Words of others and of programs: quotes, a signature at the end, what lists add below. */
function bodyText(text: string): string {
  const own = text.includes('\n>') || text.startsWith('>') ? text.replace(/^[ \t]{0,3}>.*$/gm, '') : text;
  const tail = Math.max(0, own.length - LONGEST_FOOTER);
  const found = /^(?:-- ?|_{20,})[ \t]*\r?$/m.exec(own.slice(tail));
  // Where more would go than stays, the line is no sign of an end.
  if (!found || tail + found.index < own.length / 2) return ends(own);
  return ends(own.slice(0, tail + found.index));
}

function ends(text: string): string {
  return text.length <= BEGINNING + ENDING ? text : `${text.slice(0, BEGINNING)}\n${text.slice(-ENDING)}`;
}

const LONGEST_FOOTER = 800;

function plainLinks(text: string): string[] {
  return text.includes('://') ? (text.match(/https?:\/\/[^\s<>"')\]]{1,500}/gi) ?? []).slice(0, 100) : [];
}

interface Parts {
  readonly mail: ParsedMail;
  readonly subject: string;
  readonly plain: string;
  readonly shown: string;
  readonly markup: Markup | undefined;
  readonly links: readonly string[];
  readonly hosts: readonly string[];
}

/** How a message is made. What tells of the way it took, or of its mailer, is left out: see docs/spam-classifier.md. */
function factsOf(parts: Parts): string[] {
  const { mail, subject, plain, shown } = parts;
  const facts = [...headerFacts(mail, subject), ...textFacts('subject', subject)];
  facts.push(...textFacts('text', plain || shown), ...linkFacts(parts));
  if (parts.markup) facts.push(...markupFacts(parts, parts.markup));
  for (const part of mail.attachments.slice(0, 10)) facts.push(attachmentFact(part));
  const encoded = mail.leaves.some(({ type, encoding }) => type.startsWith('text/') && encoding === 'base64');
  if (encoded && /^[\x00-\x7f]*$/.test(plain + shown)) facts.push('ASCII text hidden in base64');
  return facts;
}

function headerFacts(mail: ParsedMail, subject: string): string[] {
  const facts: string[] = [];
  const threaded = mail.header('in-reply-to') !== undefined || mail.header('references') !== undefined;
  if (threaded) facts.push('answers a message');
  else if (/^\s*re\s*:/i.test(subject)) facts.push('claims to be an answer');
  if (subject.trim() === '') facts.push('no subject');
  const [from] = parseAddresses((mail.header('from') ?? '').slice(0, 1_000));
  const [reply] = parseAddresses((mail.header('reply-to') ?? '').slice(0, 1_000));
  if (!from?.address) facts.push('no sender address');
  else {
    const local = from.address.replace(/@.*/, '');
    if (/\d{3}/.test(local)) facts.push('digits in the sender address');
    if (from.name === '') facts.push('sender without a name');
    else if (/@/.test(from.name)) facts.push('address as sender name');
    if (reply?.address && domain(reply.address) !== domain(from.address)) facts.push('answers go to another domain');
  }
  const to = parseAddresses(mail.headers('to').join(', ').slice(0, 4_000)).filter(({ address }) => address !== '');
  if (to.length === 0) facts.push('no recipient named');
  else if (to.length > 10) facts.push('many recipients named');
  return facts;
}

/** Fields that writers choose to send; those of the way, of lists and of filters are left out. */
const TOLD = new Set(
  'reply-to cc organization organisation x-priority importance x-msmail-priority x-accept-language mime-version content-type content-transfer-encoding content-disposition content-language disposition-notification-to comments user-agent x-mailer'.split(
    ' ',
  ),
);

function headerTraits(mail: ParsedMail): string[] {
  const traits = new Set<string>();
  for (const { name } of mail.fields) if (TOLD.has(name)) traits.add(`has ${name}`);
  traits.add(`type ${mail.type}`).add(`encoding ${mail.encoding}`);
  const [from] = parseAddresses((mail.header('from') ?? '').slice(0, 1_000));
  const [to] = parseAddresses((mail.header('to') ?? '').slice(0, 1_000));
  const id = (mail.header('message-id') ?? '').slice(0, 1_000);
  if (/^<?[0-9a-f]{4,}\$[0-9a-f]{4,}\$[0-9a-f]{4,}@/i.test(id)) traits.add('id with dollars');
  if (!/@/.test(id)) traits.add('id without a host');
  else if (!/@[^@]*\./.test(id)) traits.add('id of a host without a domain');
  else if (from && id.replace(/[>\s]+$/, '').endsWith(domain(from.address))) traits.add('id of the sender');
  const date = mail.header('date') ?? '';
  if (!/[+-]\d{4}\b/.test(date)) traits.add('date without a zone');
  else if (/\([A-Z]{2,}\)/.test(date)) traits.add('date with a named zone');
  if (to && from && to.address !== '' && to.address.toLowerCase() === from.address.toLowerCase())
    traits.add('to oneself');
  if (to?.name) traits.add(to.name.toLowerCase() === to.address.toLowerCase() ? 'to an address as name' : 'to a name');
  const local = to?.address.replace(/@.*/, '').toLowerCase() ?? '';
  if (local.length > 2 && mail.subject.toLowerCase().includes(local)) traits.add('subject with the recipient');
  return [...traits];
}

/** What links lead to, apart from whose site it is. */
function linkWords(links: readonly string[]): string[] {
  const words = new Set<string>();
  for (const link of links) {
    if (words.size > MOST_LINK_WORDS) break;
    const [, scheme = '', host = '', path = ''] = /^([a-z]+):(?:\/\/([^/?#]*))?(.*)$/is.exec(link) ?? [];
    words.add(`scheme ${scheme.toLowerCase().slice(0, 8)}`);
    words.add(`under ${/\.([a-z]{2,8})(?::\d+)?$/i.exec(host)?.[1]?.toLowerCase() ?? 'none'}`);
    for (const word of path.slice(0, 200).match(/[a-z]{3,15}/gi) ?? []) words.add(word.toLowerCase());
  }
  return [...words];
}

const MOST_LINK_WORDS = 200;

const domain = (address: string) => address.slice(address.lastIndexOf('@') + 1).toLowerCase();

function textFacts(place: string, text: string): string[] {
  const facts: string[] = [];
  const sample = text.slice(0, 4_096);
  let upper = 0;
  let lower = 0;
  let marks = 0;
  let dollars = 0;
  for (let at = 0; at < sample.length; at++) {
    const code = sample.charCodeAt(at);
    if (code >= 65 && code <= 90) upper += 1;
    else if (code >= 97 && code <= 122) lower += 1;
    else if (code === 33) marks += 1;
    else if (code === 36) dollars += 1;
  }
  const letters = upper + lower;
  if (letters >= 8) {
    const share = upper / letters;
    if (share > 0.6) facts.push(`${place} in capitals`);
    else if (share > 0.25) facts.push(`many capitals in the ${place}`);
  }
  if (marks > 0) facts.push(`${place}: ${marks > 8 ? 'many !' : marks > 2 ? 'some !' : '!'}`);
  if (/!{2}|[!?]{3}/.test(sample)) facts.push(`${place}: !!`);
  if (dollars > 0) facts.push(`${place}: ${dollars > 5 ? 'many $' : '$'}`);
  if (/(?:\p{L}[ .*_-]){5,}/u.test(sample)) facts.push(`${place}: l e t t e r s apart`);
  if (/[a-z][\u0370-\u052f]|[\u0370-\u052f][a-z]/i.test(sample)) facts.push(`${place}: alphabets mixed in a word`);
  if (place === 'text') facts.push(`length: ${text.length < 200 ? 'short' : text.length < 2_000 ? 'middle' : 'long'}`);
  else if (/\s{3,}\S+$|\s[a-z]*\d[a-z\d]{5,}$/i.test(sample)) facts.push('subject ends in a code');
  return facts;
}

function linkFacts({ links, hosts }: Parts): string[] {
  const facts: string[] = [];
  if (links.length > 0) facts.push(`links: ${links.length > 20 ? 'very many' : links.length > 5 ? 'many' : 'some'}`);
  if (hosts.some((host) => /^\d+(?:\.\d+){3}$|^\d{7,}$|^0x/.test(host))) facts.push('link to an IP address');
  if (hosts.some((host) => /\.xn--|^xn--/.test(host))) facts.push('link to an internationalised host');
  if (hosts.some((host) => host.split('.').length > 5)) facts.push('link to a deep host name');
  if (links.some((link) => /^https?:\/\/[^/?#]*@/i.test(link))) facts.push('user name in a link');
  if (links.some((link) => /^https?:\/\/[^/?#]*:(?!80\b|443\b)\d/i.test(link))) facts.push('port in a link');
  if (links.some((link) => /%[2-7][0-9a-f]%[2-7][0-9a-f]%[2-7]/i.test(link))) facts.push('escaped letters in a link');
  if (links.some((link) => /^mailto:[^?]*\?.*subject=/i.test(link))) facts.push('mail link with a subject');
  return facts;
}

function markupFacts({ plain, shown }: Parts, markup: Markup): string[] {
  const facts: string[] = [plain === '' ? 'HTML only' : 'HTML and text'];
  if (markup.hidden > 50) facts.push('hidden text');
  if (markup.beacons > 0) facts.push('one-pixel picture');
  if (markup.images > 0 && shown.trim().length < 100 * markup.images) facts.push('pictures for text');
  if (markup.disguised) facts.push('link shows another site');
  if (markup.form) facts.push('form');
  if (markup.script) facts.push('script');
  return facts;
}

function attachmentFact({ type, filename }: MailPart): string {
  const extension = /\.([a-z0-9]{1,5})$/i.exec(filename ?? '')?.[1]?.toLowerCase();
  return `attachment: ${extension ?? type.replace(/\/.*/, '')}`;
}
