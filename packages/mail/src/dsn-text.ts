import type { DsnAction, DsnInput, DsnRecipient } from './dsn-types.js';
import { formatDate } from './received.js';
import { conditionOf, formatReply, isPermanent, type Reply } from './reply.js';

export const SUBJECTS: Record<DsnAction, string> = {
  failed: 'Undelivered mail returned to sender',
  delayed: 'Delayed mail, still being tried',
  delivered: 'Your mail was delivered',
  relayed: 'Your mail was relayed',
};

const LEADS: Record<DsnAction, string> = {
  failed: 'Your message could not be delivered to the recipients below. It will not be tried again.',
  delayed:
    'Your message could not be delivered yet. You need to do nothing: it is still being tried. ' +
    'If it cannot be delivered in time, you will be told.',
  delivered: 'Your message was delivered to the recipients below.',
  relayed:
    'Your message was handed on to a system that does not send delivery reports. ' +
    'You will hear no more of it unless it is returned.',
};

/** Plain words for `subject.detail` of an enhanced status (RFC 3463 and its registry), then for the subject alone. */
const REASONS: Readonly<Record<string, string>> = {
  '1.1': 'That mailbox does not exist. Check the part before the @ for mistakes.',
  '1.2': 'That domain does not exist or takes no mail. Check the part after the @ for mistakes.',
  '1.3': 'The address is not written as an address can be. Check it for mistakes.',
  '1.6': 'The mailbox has moved and left no new address. Ask the recipient for it.',
  '1.8': 'Your own address was not accepted as a sender. Tell your administrator.',
  '1.10': 'That domain says that it takes no mail at all. Check the part after the @ for mistakes.',
  '2.1': 'The mailbox is switched off. Reach the recipient in another way.',
  '2.2': 'The mailbox is full. Write again later, or reach the recipient in another way.',
  '2.3': 'The message is too large for that mailbox. Send it smaller, for instance without attachments.',
  '3.4': 'The message is too large for that system. Send it smaller, for instance without attachments.',
  '4.1': "The recipient's mail server could not be reached.",
  '4.2': "The connection to the recipient's mail server broke.",
  '4.3': "The recipient's mail server could not be looked up.",
  '4.4': 'No mail server was found for that domain. Check the part after the @ for mistakes.',
  '4.6': 'The mail systems send the message in a circle. Tell your administrator.',
  '4.7': 'The message could not be delivered in the time allowed.',
  '6.7': 'A system on the way cannot handle addresses outside ASCII. Ask the recipient for another address.',
  '7.30': 'You asked for TLS all the way, and a system on the way does not offer it.',
  '1': 'The address was not accepted. Check it for mistakes.',
  '2': 'The mailbox could not take the message.',
  '3': "The recipient's mail system could not take the message.",
  '4': 'The network or the routing of mail was at fault.',
  '5': 'The mail systems did not understand each other. Tell your administrator.',
  '6': "The recipient's mail system could not handle the content.",
  '7': "The recipient's mail system refused it by its rules. What it said may tell why; else ask your administrator.",
};

function reasonOf(reply: Reply): string | undefined {
  const condition = conditionOf(reply);
  return condition === undefined ? undefined : (REASONS[condition] ?? REASONS[condition.split('.')[0] ?? '']);
}

/**
 * @returns the lines a person reads: what happened, why in plain words, what to do, and what was said word for word.
 */
export function dsnText(input: DsnInput): string[] {
  const lines = [`This is the mail system at ${input.reportingMta}.`];
  const { original } = input;
  for (const action of ['failed', 'delayed', 'relayed', 'delivered'] as const) {
    const concerned = input.recipients.filter((recipient) => recipient.action === action);
    if (concerned.length === 0) continue;
    lines.push('', ...wrap(LEADS[action], ''), '');
    for (const recipient of concerned) lines.push(...aboutRecipient(recipient), '');
  }
  lines.push(
    ...(original.subject ? wrap(`Subject of your message: ${clean(original.subject).slice(0, 200)}`, '') : []),
  );
  lines.push(
    `It arrived here on ${formatDate(original.receivedAt)} and had the id`,
    `${original.id}; name it when you ask for help.`,
    '',
  );
  return lines;
}

function aboutRecipient(recipient: DsnRecipient): string[] {
  const { action, reply, remote } = recipient;
  const trouble = action === 'failed' || action === 'delayed';
  const lines = [`<${clean(recipient.address)}>`];
  const reason = trouble ? reasonOf(reply) : undefined;
  if (reason) lines.push(...wrap(reason, '    '));
  if (action === 'failed' && !isPermanent(reply)) {
    lines.push(...wrap('The error was a temporary one, but it will not be tried again.', '    '));
  }
  if (recipient.willRetryUntil !== undefined)
    lines.push(`    It is tried until ${formatDate(recipient.willRetryUntil)}.`);
  lines.push(...wrap(`${remote ? `${clean(remote)} said` : 'In detail'}: ${clean(formatReply(reply))}`, '    '));
  return lines;
}

const clean = (text: string) => text.replace(/[\x00-\x1f\x7f-\x9f]/g, '?');

function wrap(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ').flatMap((long) => long.match(/.{1,200}/gu) ?? [])) {
    if (line && indent.length + line.length + 1 + word.length > 76) {
      lines.push(indent + line);
      line = word;
    } else line = line ? `${line} ${word}` : word;
  }
  return line ? [...lines, indent + line] : lines;
}
