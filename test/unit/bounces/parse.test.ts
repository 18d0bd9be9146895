import { parseReport } from '@waypost/bounces';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const report = (
  status: string,
  human = 'Your message could not be delivered.',
  original = 'Message-ID: <a1@app.test>',
) =>
  Buffer.from(
    [
      'From: Mail Delivery System <MAILER-DAEMON@mx.test>',
      'To: app@example.com',
      'Subject: Undelivered Mail Returned to Sender',
      'MIME-Version: 1.0',
      'Content-Type: multipart/report; report-type=delivery-status; boundary="b"',
      '',
      ...['--b', 'Content-Type: text/plain', '', human, ''],
      ...['--b', 'Content-Type: message/delivery-status', '', 'Reporting-MTA: dns; mx.test', ''],
      ...[status, '', '--b', 'Content-Type: text/rfc822-headers', '', original, 'To: you@example.org', '', '--b--', ''],
    ].join('\n'),
  );
const failed = (status: string, diagnostic: string, more = '') =>
  `Final-Recipient: rfc822; you@example.org\nAction: failed\nStatus: ${status}\nDiagnostic-Code: smtp; ${diagnostic}${more}`;
const plain = (subject: string, text: string, from = 'MAILER-DAEMON@mx.test') =>
  Buffer.from(`From: <${from}>\nTo: app@example.com\nSubject: ${subject}\n\n${text}\n`);

describe('a delivery status', () => {
  it('tells recipient, status, reply, remote host and the message it is about', async () => {
    const status = failed('5.1.1', '550 5.1.1 <you@example.org> User unknown', '\nRemote-MTA: dns; mail.example.org');
    expect(await parseReport(report(`Original-Envelope-Id: env7\n\n${status}`))).toEqual({
      kind: 'bounce',
      originalMessageId: '<a1@app.test>',
      envelopeId: 'env7',
      recipients: [
        {
          recipient: 'you@example.org',
          action: 'failed',
          code: 550,
          enhanced: '5.1.1',
          text: '550 5.1.1 <you@example.org> User unknown',
          remote: 'mail.example.org',
          cause: 'user_unknown',
          hard: true,
        },
      ],
    });
  });

  it.each([
    ['5.2.2', '552 5.2.2 Mailbox full', 'mailbox_full', false],
    [
      '5.7.1',
      '554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org',
      'blocked',
      false,
    ],
    [
      '5.7.26',
      '550 5.7.26 This mail has been blocked because the sender is unauthenticated. DMARC',
      'auth_failure',
      false,
    ],
    ['5.1.2', '550 5.1.2 Host unknown', 'host_unknown', true],
    ['4.2.2', '452 4.2.2 The recipient is over quota', 'mailbox_full', false],
    ['5.0.0', '550 The message contains a virus', 'virus', false],
    ['5.0.0', '550 rejected as spam', 'spam', false],
    ['5.1.10', '556 5.1.10 Null MX: domain does not accept mail', 'not_accept', true],
    ['4.1.1', '450 4.1.1 User unknown', 'user_unknown', false],
  ])('%s %s is %s', async (status, diagnostic, cause, hard) => {
    const read = await parseReport(report(failed(status, diagnostic)));
    expect(read?.recipients[0]).toMatchObject({ cause, hard });
  });

  it('has an unknown user after DATA for a filter, unless the status is sure', async () => {
    const human = '<you@example.org>: host mx said: 550 User unknown (in reply to end of DATA\n    command)';
    expect((await parseReport(report(failed('5.0.0', '550 User unknown'), human)))?.recipients[0]?.cause).toBe(
      'filtered',
    );
    const sure = await parseReport(report(failed('5.1.1', '550 5.1.1 User unknown'), human));
    expect(sure?.recipients[0]?.cause).toBe('user_unknown');
  });

  it('takes whom we wrote to before where he is', async () => {
    const status = `Original-Recipient: rfc822;alias@example.org\n${failed('5.1.1', '550 no such user')}`;
    expect((await parseReport(report(status)))?.recipients[0]).toMatchObject({
      recipient: 'alias@example.org',
      finalRecipient: 'you@example.org',
    });
  });

  it('of a success or a delay suppresses nobody', async () => {
    const status = (action: string, code: string) =>
      report(`Final-Recipient: rfc822; you@example.org\nAction: ${action}\nStatus: ${code}`);
    expect((await parseReport(status('delivered', '2.0.0')))?.recipients[0]).toMatchObject({
      cause: 'delivered',
      hard: false,
    });
    expect((await parseReport(status('delayed', '4.4.1')))?.recipients[0]).toMatchObject({
      action: 'delayed',
      hard: false,
    });
  });
});

describe('a bounce in plain text', () => {
  it('is read by who is named and what is said of each', async () => {
    const text = [
      'Hi. This is a mail program. I was not able to deliver your message to the following addresses.',
      ...[
        '',
        '<one@example.org>:',
        '192.0.2.1 does not like recipient.',
        'Remote host said: 550 5.1.1 no such user',
        '',
      ],
      ...['<two@example.org>:', 'Remote host said: 552 5.2.2 mailbox full', ''],
      ...['--- Below this line is a copy of the message.', '', 'Message-ID: <orig@app.test>', 'To: three@example.org'],
    ].join('\n');
    const read = await parseReport(plain('failure notice', text));
    expect(read?.recipients.map(({ recipient, cause }) => [recipient, cause])).toEqual([
      ['one@example.org', 'user_unknown'],
      ['two@example.org', 'mailbox_full'],
    ]);
    expect(read?.originalMessageId).toBe('<orig@app.test>');
  });
});

describe('a complaint', () => {
  it('tells who complained of which message', async () => {
    const raw = [
      'From: fbl@provider.test',
      'Subject: FW: offer',
      'MIME-Version: 1.0',
      'Content-Type: multipart/report; report-type=feedback-report; boundary=b',
      ...['', '--b', 'Content-Type: text/plain', '', 'This is an abuse report.', ''],
      ...[
        '--b',
        'Content-Type: message/feedback-report',
        '',
        'Feedback-Type: abuse',
        'Original-Rcpt-To: <you@example.org>',
        '',
      ],
      ...[
        '--b',
        'Content-Type: message/rfc822',
        '',
        'Message-ID: <m1@app.test>',
        'Subject: offer',
        '',
        'x',
        '--b--',
        '',
      ],
    ].join('\r\n');
    expect(await parseReport(Buffer.from(raw))).toMatchObject({
      kind: 'feedback',
      feedbackType: 'abuse',
      originalMessageId: '<m1@app.test>',
      recipients: [{ recipient: 'you@example.org', cause: 'feedback', hard: false }],
    });
  });
});

describe('what is no bounce', () => {
  it.each([
    ['an ordinary mail', plain('Lunch?', 'Shall we meet at noon?\nyou@example.org', 'friend@example.org')],
    [
      'a mail that speaks of one',
      plain('Re: question', 'My mail to you@example.org was rejected, why?', 'friend@example.org'),
    ],
    ['nothing', Buffer.alloc(0)],
  ])('%s', async (_, raw) => expect(await parseReport(raw)).toBeUndefined());

  it('an absence note is an automatic answer', async () => {
    const raw = Buffer.from('From: you@example.org\nAuto-Submitted: auto-replied\nSubject: Away\n\nBack on Monday.\n');
    expect(await parseReport(raw)).toMatchObject({ kind: 'auto_reply', recipients: [{ cause: 'vacation' }] });
  });
});

it('nothing throws, whatever comes', async () => {
  const line = fc.oneof(
    fc.constantFrom(
      '--b',
      'Content-Type: multipart/report; boundary=b',
      'Final-Recipient: rfc822; a@b.c',
      'From: MAILER-DAEMON',
      '',
      '>>> RCPT TO:<a@b.c>',
      '<a@b.c>:',
      '550 5.1.1 x',
    ),
    fc.string({ maxLength: 60 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 40 }), async (lines) => {
      await parseReport(Buffer.from(lines.join('\n')));
    }),
    { numRuns: 150 },
  );
});

it('long lines of the same sign take no long time', async () => {
  for (const sign of ['a', '<', '@', ' ', '-', 'a@', '5.', 'user ', '> ']) {
    await parseReport(plain('failure notice', sign.repeat(200_000 / sign.length)));
  }
}, 20_000);
