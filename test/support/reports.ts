import { type SmtpDialog, waitFor } from '@waypost/testkit';
import { call } from './http.js';
import { greet, type Relay } from './relay.js';

const text = (lines: readonly string[]) => `${lines.join('\r\n')}\r\n`;

export interface Told {
  /** Whom it is about. */
  readonly recipient: string;
  /** The return path it goes to. */
  readonly to: string;
  readonly status?: string;
  readonly said?: string;
  readonly action?: string;
  /** What it returns of the original. */
  readonly original?: string;
}

/** A delivery report as Postfix writes them. */
export function postfixLike(told: Told): string {
  const { recipient, to, status = '5.1.1', said = 'no such user here', action = 'failed', original = '' } = told;
  return text([
    'From: MAILER-DAEMON@mx.example.org (Mail Delivery System)',
    'Subject: Undelivered Mail Returned to Sender',
    `To: ${to}`,
    'Auto-Submitted: auto-replied',
    'MIME-Version: 1.0',
    'Content-Type: multipart/report; report-type=delivery-status; boundary="xyz/mx.example.org"',
    '',
    'This is a MIME-encapsulated message.',
    '',
    '--xyz/mx.example.org',
    'Content-Type: text/plain; charset=us-ascii',
    '',
    'This is the mail system at host mx.example.org.',
    '',
    `<${recipient}>: host box.example.org[192.0.2.9] said: 550 ${status} ${said} (in reply to RCPT TO command)`,
    '',
    '--xyz/mx.example.org',
    'Content-Type: message/delivery-status',
    '',
    'Reporting-MTA: dns; mx.example.org',
    '',
    `Final-Recipient: rfc822; ${recipient}`,
    `Action: ${action}`,
    `Status: ${status}`,
    'Remote-MTA: dns; box.example.org',
    `Diagnostic-Code: smtp; ${status.startsWith('4') ? 450 : 550} ${status} ${said}`,
    '',
    '--xyz/mx.example.org',
    'Content-Type: text/rfc822-headers',
    '',
    original || 'Subject: something\r\n',
    '--xyz/mx.example.org--',
  ]);
}

/** A delivery report as Exchange writes them: HTML first, and other words. */
export function exchangeLike({ recipient, to }: Told): string {
  return text([
    'From: Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@example.org>',
    `To: <${to}>`,
    'Subject: Undeliverable: something',
    'MIME-Version: 1.0',
    'Content-Type: multipart/report; report-type=delivery-status; boundary="_000_"',
    '',
    '--_000_',
    'Content-Type: text/html; charset="us-ascii"',
    '',
    `<p>Your message to <a href="mailto:${recipient}">${recipient}</a> couldn't be delivered.</p>`,
    '',
    '--_000_',
    'Content-Type: message/delivery-status',
    '',
    'Reporting-MTA: dns;mail.example.org',
    'Arrival-Date: Wed, 5 Nov 2025 10:00:00 +0000',
    '',
    `Final-Recipient: rfc822;${recipient}`,
    'Action: failed',
    'Status: 5.2.2',
    'Diagnostic-Code: smtp;552 5.2.2 mailbox full; quota exceeded',
    '',
    '--_000_--',
  ]);
}

/** A complaint (RFC 5965) whose sender hides who complained. */
export function complaint(original: string, fields: readonly string[] = []): string {
  return text([
    'From: feedback@isp.example',
    'To: fbl@example.com',
    'Subject: FW: something',
    'MIME-Version: 1.0',
    'Content-Type: multipart/report; report-type=feedback-report; boundary="arf"',
    '',
    '--arf',
    'Content-Type: text/plain',
    '',
    'This is a spam report.',
    '',
    '--arf',
    'Content-Type: message/feedback-report',
    '',
    'Feedback-Type: abuse',
    'User-Agent: SomeLoop/1.0',
    'Version: 1',
    ...fields,
    '',
    '--arf',
    'Content-Type: message/rfc822',
    '',
    original,
    '--arf--',
  ]);
}

/** Sends a report over a listener as other hosts do. @returns the reply that decided: of RCPT, or of the final dot. */
export async function report(relay: Relay, to: string, body: string, from = ''): Promise<string> {
  const dialog: SmtpDialog = await greet(relay.waypost.port('inbound'));
  try {
    await dialog.say(`MAIL FROM:<${from}>`);
    const answer = await dialog.say(`RCPT TO:<${to}>`);
    if (!answer.startsWith('250')) return answer;
    await dialog.say('DATA');
    dialog.write(body.replace(/^\./gm, '..'));
    dialog.write('.\r\n');
    return await dialog.reply();
  } finally {
    dialog.close();
  }
}

/** Waits until a report has ended. @returns the text of its end. */
export async function ended(relay: Relay, reply: string): Promise<string> {
  const id = /queued as ([0-9a-f-]{36})/.exec(reply)?.[1];
  if (!id) throw new Error(`not accepted: ${reply}`);
  return waitFor(`the report ${id} to be dealt with`, async () => {
    const { body } = await call(relay.waypost.http, `/v1/emails/${id}`);
    const [one] = body.recipients;
    return one.state === 'delivered' ? (one.last_response.text as string) : undefined;
  });
}
