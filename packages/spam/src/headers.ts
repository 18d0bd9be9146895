import { domainOf, parseMailbox } from '@waypost/mail';
import { decodeWords, type MailAddress, type ParsedMail, parseAddresses } from '@waypost/mime';
import { isFreeMail, registeredDomain } from './domains.js';
import type { SpamInput } from './input.js';
import type { Report } from './symbols.js';

const DAY = 86_400_000;
/** Characters of a value that are looked at: patterns take the square of their text's length at worst. */
const LONGEST = 1_000;

/** Looks for what is odd in a header section (RFC 5322 §3.6). */
export function checkHeaders(input: SpamInput, report: Report): void {
  checkDate(input, report);
  checkFrom(input, report);
  checkOthers(input.mail, report);
  checkSubject(input.mail, report);
  checkForm(input.mail, report);
}

function checkDate({ mail, receivedAt }: SpamInput, report: Report): void {
  const written = mail.header('date');
  if (written === undefined) return report('DATE_MISSING', 'there is no Date field');
  const at = Date.parse(written.slice(0, LONGEST).replace(/\([^)]*\)/g, ''));
  if (Number.isNaN(at)) return report('DATE_INVALID', `"${shown(written)}" is no date`);
  if (at - receivedAt > DAY) report('DATE_IN_FUTURE', `dated ${shown(written)}`);
  else if (receivedAt - at > 7 * DAY) report('DATE_IN_PAST', `dated ${shown(written)}`);
}

function checkFrom({ mail, recipients, lookalikes }: SpamInput, report: Report): void {
  const fields = mail.headers('from');
  if (fields.length > 1) report('FROM_SEVERAL', `${fields.length} From fields`);
  const [from] = parseAddresses(fields[0] ?? '');
  if (!from?.address) return report('FROM_MISSING', 'From has no address');
  const mailbox = parseMailbox(from.address);
  if (!mailbox) report('FROM_INVALID', `"${shown(from.address)}" is no address`);
  const domain = domainOf(from.address);
  const inName = /[\w.+-]{1,64}@((?:[\w-]{1,63}\.){1,8}[a-z]{2,24})\b/i.exec(from.name)?.[1]?.toLowerCase();
  if (inName && registeredDomain(inName) !== registeredDomain(domain)) {
    report('FROM_NAME_IS_OTHER_ADDRESS', `"${shown(from.name)}" is not of ${shown(domain)}`);
  }
  if (recipients.length === 1 && recipients[0]?.toLowerCase() === from.address.toLowerCase()) {
    report('FROM_IS_RECIPIENT', `from ${shown(from.address)} to itself`);
  }
  if (mailbox && looksRandom(mailbox.local)) report('FROM_RANDOM', `"${shown(mailbox.local)}" looks made up`);
  checkNameOfFrom(from, domain, lookalikes, report);
  const [answers] = parseAddresses(mail.header('reply-to') ?? '');
  const to = domainOf(answers?.address ?? '');
  if (to && isFreeMail(to) && to !== domain)
    report('REPLY_TO_FREE_MAIL', `answers go to ${shown(to)}, not ${shown(domain)}`);
}

function checkNameOfFrom(
  { name }: MailAddress,
  domain: string,
  lookalikes: SpamInput['lookalikes'],
  report: Report,
): void {
  const said = name.toLowerCase().replace(/\s+/g, '');
  const brand = lookalikes.domains.find((one) => one.length > 4 && said.includes(one));
  if (brand && !lookalikes.isOwn(domain)) report('FROM_NAME_IS_BRAND', `"${shown(name)}" is of ${shown(domain)}`);
}

/** Digits within letters, or consonants in rows: not what people call themselves. */
const looksRandom = (local: string) =>
  /^[a-z]{2,12}\d{5,}[a-z]*$/i.test(local) ||
  /[bcdfghjklmnpqrstvwxz]{7}/i.test(local) ||
  /\d[a-z]{1,3}\d[a-z]{1,3}\d/i.test(local);

function checkOthers(mail: ParsedMail, report: Report): void {
  const to = mail.header('to');
  if (to === undefined && mail.header('cc') === undefined) report('TO_MISSING', 'neither To nor Cc');
  else if (to !== undefined && !to.includes('@')) report('TO_UNDISCLOSED', `To is "${shown(to)}"`);
  const id = mail.header('message-id');
  if (id === undefined) report('MESSAGE_ID_MISSING', 'there is no Message-ID field');
  else if (!/^<[^<>@\s]{1,250}@[^<>@\s]{1,250}>$/.test(id)) report('MESSAGE_ID_INVALID', `"${shown(id)}"`);
  const mailer = mail.header('x-mailer') ?? mail.header('user-agent') ?? '';
  if (BULK_MAILERS.test(mailer)) report('BULK_MAILER', shown(mailer));
}

const BULK_MAILERS =
  /\b(?:bulk|mass|broadcast|group ?mail|the bat! \(v1|dm ?mailer|turbo ?mail|e-?mail ?(?:magnet|extractor|blaster)|jpfree|mailking|advanced mass|stealth|phpmailer \[version 1\.[0-6])/i;

/** Fields of which RFC 5322 §3.6 allows one. */
const ONCE = ['date', 'subject', 'to', 'cc', 'reply-to', 'sender', 'message-id', 'in-reply-to', 'references'];

function checkForm(mail: ParsedMail, report: Report): void {
  const twice = ONCE.find((name) => mail.headers(name).length > 1);
  if (twice) report('FIELD_REPEATED', `${twice} comes twice`);
  const head = mail.whole.subarray(0, mail.whole.length - mail.raw.length).toString('latin1');
  if (/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/.test(head))
    report('FIELD_CONTROL_CHARACTERS', 'control characters in the header');
  if (/[\x80-\xff]/.test(head) && mail.fields.some(({ value }) => value.includes('\ufffd'))) {
    report('FIELD_RAW_8BIT', 'octets in the header that are neither ASCII nor UTF-8');
  }
}

function checkSubject(mail: ParsedMail, report: Report): void {
  const subject = mail.subject.slice(0, LONGEST);
  const raw = (mail.header('subject') ?? '').slice(0, LONGEST);
  if (subject.trim() === '') return report('SUBJECT_MISSING', 'there is no Subject');
  const letters = subject.replace(/[^\p{L}]/gu, '');
  if (letters.length >= 8 && letters === letters.toUpperCase() && letters !== letters.toLowerCase()) {
    report('SUBJECT_CAPITALS', `"${shown(subject)}"`);
  }
  if (/[!?]{2}|[$€£]{2}|\$\d.*!/.test(subject)) report('SUBJECT_SHOUTS', `"${shown(subject)}"`);
  if (/\S[ \t]{6,}\S{2,30}\s*$/.test(mail.subject.slice(-200)))
    report('SUBJECT_GAP', `ends in "${shown(mail.subject.slice(-20))}"`);
  if (/=\?[^?]*\?b\?/i.test(raw) && /^[\x20-\x7e]*$/.test(subject)) {
    report('SUBJECT_ENCODED_ASCII', `"${shown(subject)}" is encoded`);
  }
  if (/\p{L}[\u00ad\u200b-\u200d\u2060\ufeff]\p{L}/u.test(subject))
    report('SUBJECT_HIDDEN_CHARACTERS', `"${shown(subject)}"`);
  const answers = mail.header('in-reply-to') ?? mail.header('references');
  if (/^re:/i.test(subject) && answers === undefined)
    report('SUBJECT_FALSE_REPLY', `"${shown(subject)}" answers nothing`);
}

/** A piece of a stranger's text, as reasons and log lines may hold it. */
export const shown = (text: string) =>
  decodeWords(text.slice(0, LONGEST))
    .replace(/[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '?')
    .slice(0, 80);
