import { type BounceCause, type BounceFacts, classifyBounce, isHardCause, normaliseLineEnds } from '@waypost/mail';
import { type ParsedMail, simpleParser } from 'mailparser';
import { addressesIn, addressIn, same } from './addresses.js';
import { essence, factsIn } from './facts.js';
import { readBounceNotification, readFeedback, readNotification } from './feedback.js';
import { type Fields, fieldGroups, untyped } from './fields.js';
import { readOriginal, splitText } from './original.js';
import type { Report, ReportedRecipient } from './report.js';
import { type Passage, passages } from './said.js';

/** Octets of a report that are read; what comes after them is returned content. */
const LONGEST = 512 * 1024;
const MOST_RECIPIENTS = 1_000;

/**
 * Reads a mail that came back: a delivery status (RFC 3464), a bounce in whatever words its host has for it, a complaint
 * (RFC 5965), or an automatic answer (RFC 3834). Never throws, whatever it is given.
 * @param raw the whole message; its line ends may be any.
 * @returns undefined where it is none of these.
 */
export async function parseReport(raw: Buffer): Promise<Report | undefined> {
  try {
    const whole = normaliseLineEnds(raw.subarray(0, LONGEST));
    const mail = await simpleParser(whole, {
      keepDeliveryStatus: true,
      skipTextToHtml: true,
      skipImageLinks: true,
      maxHtmlLengthToParse: LONGEST,
    });
    return read(mail, whole.toString('utf8'));
  } catch {
    return undefined;
  }
}

/** A report taken apart. */
interface Parts {
  readonly mail: ParsedMail;
  readonly subject: string;
  /** What the reporting host wrote. */
  readonly said: string;
  readonly status: readonly Fields[];
  readonly original: ReturnType<typeof readOriginal>;
  /** Addresses of the report's own header. */
  readonly own: readonly string[];
}

function read(mail: ParsedMail, whole: string): Report | undefined {
  const parts = takeApart(mail, whole);
  const { marks: seen, queueId } = parts.original;
  const report = readParts(parts);
  const marks = [...seen, ...(report?.marks ?? [])];
  return report && { ...report, ...(marks.length > 0 ? { marks } : {}), ...(queueId ? { queueId } : {}) };
}

function readParts(parts: Parts): Report | undefined {
  const { mail } = parts;
  const { messageId } = parts.original;
  const feedback = attached(mail, /^message\/feedback-report/);
  if (feedback !== undefined) return readFeedback(feedback, parts.original);
  const complaint = readNotification(parts.said);
  if (complaint) return complaint;
  if (!looksLikeBounce(parts)) return autoReply(parts);
  const recipients = recipientsOf(parts).slice(0, MOST_RECIPIENTS);
  if (recipients.length === 0) return undefined;
  const envelopeId = untyped(parts.status.map((fields) => fields.get('original-envelope-id')).find(Boolean));
  return {
    kind: 'bounce',
    recipients,
    ...(messageId ? { originalMessageId: messageId } : {}),
    ...(envelopeId ? { envelopeId } : {}),
  };
}

function takeApart(mail: ParsedMail, whole: string): Parts {
  const status = attached(mail, /^message\/(?:global-)?delivery-status/);
  const body = whole.slice(Math.max(0, whole.indexOf('\r\n\r\n'))).replace(/\r\n/g, '\n');
  // A report whose parts are broken is read as one text.
  const own = ownAddresses(mail);
  const told = splitText(unquoted(mail.text ?? ''));
  const readable =
    status !== undefined || mail.headers.has('x-failed-recipients') || passages(told.said, own).length > 0;
  const { said, original } = readable ? told : splitText(unquoted(withoutMarkup(body)));
  const returned = attached(mail, /^(?:message\/(?:global|rfc822)|text\/rfc822-headers?|message\/global-headers)/);
  const inText =
    /^\s*Final-Recipient\s*:/im.test(said) || (status === undefined && /^\s*Final-Recipient\s*:/im.test(body));
  const groups = status ?? (inText ? (/^\s*Final-Recipient\s*:/im.test(said) ? said : body) : '');
  return {
    mail,
    subject: mail.subject ?? '',
    said: said.slice(0, LONGEST),
    status: statusGroups(groups),
    original: readOriginal(returned ?? original),
    own,
  };
}

/** Recipients may follow each other without an empty line in between. */
function statusGroups(text: string): Fields[] {
  const parted = text.replace(/^[ \t]+(?=(?:Original|Final)-Recipient\s*:)/gim, '');
  return fieldGroups(parted);
}

/** Some forward their bounces, as they would answer a mail. */
const unquoted = (text: string) =>
  /^>+ ?From: .*(?:mailer-daemon|postmaster)/im.test(text) ? text.replace(/^>[ \t]?/gm, '') : text;

function withoutMarkup(text: string): string {
  return text.replace(/<(?!\S{1,64}@)[a-z/!][^<>]{0,1000}>/gi, ' ');
}

function attached(mail: ParsedMail, type: RegExp): string | undefined {
  const found = mail.attachments.filter(({ contentType }) => type.test(contentType.toLowerCase()));
  return found.length === 0 ? undefined : found.map(({ content }) => content.toString('utf8')).join('\n\n');
}

function ownAddresses(mail: ParsedMail): string[] {
  const to = [mail.to ?? []].flat().flatMap(({ value }) => value.map(({ address }) => address ?? ''));
  const from = mail.from?.value.map(({ address }) => address ?? '') ?? [];
  return [...to, ...from].filter(Boolean);
}

/** Who sends reports, and how they call them; bounces of machines that follow no standard have at least one of these. */
const REPORTERS =
  /mailer-?daemon|mail[ _-]?(?:delivery|deliver|system|administrator|server|router|gateway)|post[-_ ]?master|system administrator|^<?(?:bounce|no-?reply|mdaemon|daemon|mmdf)|delivery (?:subsystem|system|status)|smtp (?:service|server|gateway)|delivery\.system/i;
const SUBJECTS =
  /undeliver|undelivered|non[- ]?deliver|deliver(?:y|ed|ing)?[^,]{0,40}(?:fail|status|notif|report|problem|error|impossible|warning|unsuccess)|fail(?:ed|ure)?[^,]{0,40}(?:deliver|notice|notif|mail|message)|returned (?:e?mail|message|to sender)|mail (?:system )?(?:error|fail)|(?:message|mail|e-?mail)[^,]{0,30}(?:could not|not be|cannot|can't|rejected|bounced|was not|blocked)|could not (?:send|deliver)|error sending|user unknown|warning:|unzustellbar|non remis|no entregado|не доставлено|配信|postmaster notify|ndn:|dsn:/i;

function looksLikeBounce({ mail, subject, status, said }: Parts): boolean {
  if (
    status.some((fields) => fields.has('final-recipient') || fields.has('original-recipient') || fields.has('action'))
  )
    return true;
  if (mail.headers.has('x-failed-recipients')) return true;
  if (/report-type="?delivery-status/i.test(headerText(mail, 'content-type'))) return true;
  if (readBounceNotification(said).length > 0) return true;
  const reporter =
    REPORTERS.test(headerText(mail, 'from')) ||
    /^From: .*(?:mailer-daemon|mail delivery)/im.test(said.slice(0, 2_000)) ||
    headerText(mail, 'return-path').replace(/\s/g, '') === '<>';
  return reporter && (SUBJECTS.test(subject) || SAYS_SO.test(said));
}

const SAYS_SO =
  /(?:could|can|was|were|did|unable|wasn't|has|have|had)[^.]{0,60}(?:deliver|reach|sen[dt]|process)|undeliverable|(?:delivery|permanent|fatal|transient|recipient|address|smtp|remote)[^.]{0,40}(?:error|fail|refus|reject|problem)|no longer|(?:user|mailbox|recipient|address)[^.]{0,40}(?:unknown|full|not|exceed|doesn't)|rejected/i;

function headerText(mail: ParsedMail, name: string): string {
  const line = mail.headerLines.find(({ key }) => key === name)?.line ?? '';
  return line.slice(line.indexOf(':') + 1).trim();
}

function recipientsOf(parts: Parts): ReportedRecipient[] {
  const told = readBounceNotification(parts.said);
  if (told.length > 0) return told.map(({ recipient, status, text }) => describe(recipient, factsIn(text, status)));
  const said = passages(parts.said, parts.own);
  const fromFields = parts.status.filter(isAboutRecipient).flatMap((fields) => fromStatus(fields, said, parts));
  if (fromFields.length > 0) return unique(fromFields);
  const failed = addressesIn(headerText(parts.mail, 'x-failed-recipients'));
  if (failed.length > 0)
    return failed.map((recipient) => describe(recipient, reasonIn(passageOf(recipient, said, parts), parts)));
  if (said.length > 0) return said.map(({ recipient, text }) => describe(recipient, reasonIn(text, parts)));
  const named =
    parts.original.to.length > 0
      ? parts.original.to
      : addressesIn(parts.said).filter((one) => !parts.own.includes(one));
  return named.slice(0, 1).map((recipient) => describe(recipient, reasonIn(parts.said, parts)));
}

const isAboutRecipient = (fields: Fields) =>
  fields.has('final-recipient') || fields.has('original-recipient') || fields.has('x-actual-recipient');

/** One recipient's group of a delivery status (RFC 3464 §2.3). */
function fromStatus(fields: Fields, said: readonly Passage[], parts: Parts): ReportedRecipient[] {
  const final = addressIn(untyped(fields.get('final-recipient')));
  const asked =
    addressIn(untyped(fields.get('original-recipient'))) ?? addressIn(untyped(fields.get('x-actual-recipient')));
  const recipient = asked ?? final ?? said[0]?.recipient ?? parts.original.to[0];
  if (!recipient) return [];
  const given = fields.get('diagnostic-code') ?? '';
  // What a program on that host said is no reply of a server.
  const diagnostic = /^\s*x-unix/i.test(given) ? given : untyped(given);
  const status = /[245]\.\d{1,3}\.\d{1,3}/.exec(fields.get('status') ?? '')?.[0];
  const passage = passageOf(recipient, said, parts, final);
  const { phase } = factsIn(passage);
  let facts: BounceFacts = { ...factsIn(diagnostic, status), ...(phase ? { phase } : {}) };
  const action = actionOf(fields.get('action'), status);
  if (action !== 'delivered' && isVague(facts) && !isTelling(status)) facts = withReason(facts, passage, parts);
  const remote = untyped(fields.get('remote-mta'));
  const category = CATEGORIES[fields.get('x-powermta-bouncecategory')?.trim().toLowerCase() ?? ''];
  return [
    {
      ...describe(recipient, facts, action),
      ...(category ? { cause: category, hard: isHardCause(category) } : {}),
      ...(final && !same(final, recipient) ? { finalRecipient: final } : {}),
      ...(remote ? { remote } : {}),
    },
  ];
}

function withReason(facts: BounceFacts, passage: string, parts: Parts): BounceFacts {
  const found = reasonIn(passage, parts);
  return isVague(found) ? facts : { ...found, ...facts, text: `${facts.text}\n${found.text}` };
}

/** What PowerMTA's own field says of the cause. */
const CATEGORIES: Readonly<Record<string, BounceCause>> = {
  'bad-mailbox': 'user_unknown',
  'bad-domain': 'host_unknown',
  'inactive-mailbox': 'suspended',
  'quota-issues': 'mailbox_full',
  'spam-related': 'spam',
  'virus-related': 'virus',
  'policy-related': 'policy',
  'relaying-issues': 'no_relaying',
};

const VAGUE: ReadonlySet<BounceCause> = new Set(['undefined', 'on_hold']);
const isVague = (facts: BounceFacts) => VAGUE.has(classifyBounce({ ...facts, enhanced: undefined }).cause);

/** Whether a status says enough where no words come with it. */
const isTelling = (status: string | undefined) => !VAGUE.has(classifyBounce({ enhanced: status, text: '' }).cause);

function actionOf(value: string | undefined, status: string | undefined): ReportedRecipient['action'] {
  const word = /[a-z]+/i.exec(value ?? '')?.[0]?.toLowerCase() ?? '';
  if (word === 'delayed') return 'delayed';
  if (word === 'relayed' || word === 'expanded') return word;
  if (word.startsWith('deliver') || (word === '' && status?.startsWith('2'))) return 'delivered';
  return 'failed';
}

function describe(recipient: string, facts: BounceFacts, given?: ReportedRecipient['action']): ReportedRecipient {
  const action = given ?? (facts.enhanced?.startsWith('2') ? 'delivered' : 'failed');
  const well = action === 'delivered' || action === 'relayed' || action === 'expanded';
  const { cause, hard } = well ? { cause: 'delivered' as const, hard: false } : classifyBounce(facts);
  return {
    recipient,
    action,
    text: facts.text.replace(/\s+/g, ' ').trim().slice(0, 1_000),
    cause,
    hard,
    ...(facts.code === undefined ? {} : { code: facts.code }),
    ...(facts.enhanced === undefined ? {} : { enhanced: facts.enhanced }),
  };
}

/** What the text says of a recipient; all of it where it names nobody else. */
function passageOf(recipient: string, said: readonly Passage[], parts: Parts, other = recipient): string {
  const own = said.find((one) => same(one.recipient, recipient) || same(one.recipient, other));
  return own?.text ?? (said.length > 1 ? '' : parts.said);
}

/** The reason stands in the server's own words, else near the recipient, else anywhere in the text, else in the subject. */
function reasonIn(passage: string, { said, subject }: Parts): BounceFacts {
  const near = factsIn(passage);
  const { text: _, ...marks } = near;
  const tries = [essence(passage), passage, essence(said), said, `${said}\n${subject}`].filter(
    (text) => text.trim() !== '',
  );
  const found = tries.map((text) => ({ ...factsIn(text), ...marks })).find((facts) => !isVague(facts));
  return found ?? near;
}

function unique(list: readonly ReportedRecipient[]): ReportedRecipient[] {
  return [...new Map(list.map((one) => [one.recipient.toLowerCase(), one])).values()];
}

/** Programs that answer for a recipient say so (RFC 3834 §5), or in their subject. */
function autoReply({ mail, subject, said }: Parts): Report | undefined {
  const submitted = headerText(mail, 'auto-submitted').toLowerCase();
  const suppress = headerText(mail, 'x-auto-response-suppress');
  const marked =
    submitted.startsWith('auto-replied') ||
    /^(?:auto|vacation)/i.test(headerText(mail, 'x-autoreply') || headerText(mail, 'x-autorespond')) ||
    /auto_reply/i.test(headerText(mail, 'precedence')) ||
    (/oof|all/i.test(suppress) && /^auto/i.test(submitted));
  const says =
    /^(?:auto(?:matic)?[ -]?(?:reply|response)|out of (?:the )?office|away (?:until|from)|vacation|i(?:'| a)m (?:away|out)|abwesen)/i.test(
      subject,
    );
  const recipient = mail.from?.value[0]?.address;
  if (!recipient || !(marked || says)) return undefined;
  const text = said.replace(/\s+/g, ' ').trim().slice(0, 1_000);
  return { kind: 'auto_reply', recipients: [{ recipient, action: 'delivered', text, cause: 'vacation', hard: false }] };
}
