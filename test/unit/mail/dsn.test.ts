import { execFileSync, spawnSync } from 'node:child_process';
import {
  buildDsn,
  type DsnInput,
  type DsnRecipient,
  fieldValue,
  firstValue,
  headerEnd,
  headerFields,
  isSevenBit,
  LineEndScanner,
  RETURN_LIMIT,
  returnedPart,
} from '@waypost/mail';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

const original = Buffer.from('From: ann@x.test\r\nSubject: hello\r\nMessage-ID: <m1@x.test>\r\n\r\nbody\r\n');
const recipient: DsnRecipient = {
  address: 'joe@y.test',
  orcpt: 'rfc822;joe+old@y.test',
  action: 'failed',
  remote: 'mx.y.test [192.0.2.1]',
  reply: { code: 550, enhanced: '5.1.1', text: 'User unknown' },
  lastAttemptAt: Date.UTC(2026, 0, 2),
};
const input: DsnInput = {
  reportingMta: 'relay.test',
  id: 'dsn-1',
  date: Date.UTC(2026, 0, 2),
  envid: 'QQ+314',
  recipients: [recipient],
  original: {
    id: 'msg-1',
    sender: 'ann@x.test',
    receivedAt: Date.UTC(2026, 0, 1),
    messageId: '<m1@x.test>',
    subject: 'hello',
  },
  returned: original,
  headersOnly: false,
};

interface Part {
  readonly type: string;
  readonly encoding: string;
  readonly body: Buffer;
}

/** Takes a multipart apart by its boundary, as plainly as can be. */
function parts(dsn: Buffer, boundary = '=_dsn-1'): Part[] {
  const text = dsn.toString('latin1');
  expect(text.endsWith(`\r\n--${boundary}--\r\n`)).toBe(true);
  return text
    .slice(0, -`\r\n--${boundary}--\r\n`.length)
    .split(`\r\n--${boundary}\r\n`)
    .slice(1)
    .map((part) => {
      const buffer = Buffer.from(part, 'latin1');
      const fields = headerFields(buffer);
      return {
        type: firstValue(buffer, fields, 'content-type') ?? '',
        encoding: firstValue(buffer, fields, 'content-transfer-encoding') ?? '7bit',
        body: buffer.subarray(headerEnd(buffer)),
      };
    });
}

/** The status part: one block of fields for the message, then one a recipient. */
function status(dsn: Buffer): Record<string, string>[] {
  const body = parts(dsn)[1]?.body.toString('utf8') ?? '';
  return body
    .trimEnd()
    .split('\r\n\r\n')
    .map((block) => {
      const buffer = Buffer.from(`${block}\r\n`);
      return Object.fromEntries(headerFields(buffer).map((field) => [field.name, fieldValue(buffer, field)]));
    });
}

test('a failure with the whole message', () => {
  const dsn = buildDsn(input);
  const fields = headerFields(dsn);
  expect(Object.fromEntries(fields.map((field) => [field.name, fieldValue(dsn, field)]))).toEqual({
    from: 'Mail Delivery System <MAILER-DAEMON@relay.test>',
    to: '<ann@x.test>',
    subject: 'Undelivered mail returned to sender',
    date: 'Fri, 2 Jan 2026 00:00:00 +0000',
    'message-id': '<dsn-1@relay.test>',
    'in-reply-to': '<m1@x.test>',
    references: '<m1@x.test>',
    'auto-submitted': 'auto-replied',
    'mime-version': '1.0',
    'content-type': 'multipart/report; report-type=delivery-status; boundary="=_dsn-1"',
  });
  expect(parts(dsn).map((part) => part.type)).toEqual([
    'text/plain; charset=us-ascii',
    'message/delivery-status',
    'message/rfc822',
  ]);
  expect(parts(dsn)[2]?.body).toEqual(original);
  expect(status(dsn)).toEqual([
    {
      'reporting-mta': 'dns; relay.test',
      'original-envelope-id': 'QQ+314',
      'x-waypost-queue-id': 'msg-1',
      'arrival-date': 'Thu, 1 Jan 2026 00:00:00 +0000',
    },
    {
      'original-recipient': 'rfc822; joe+old@y.test',
      'final-recipient': 'rfc822; joe@y.test',
      action: 'failed',
      status: '5.1.1',
      'remote-mta': 'dns; mx.y.test',
      'diagnostic-code': 'smtp; 550 5.1.1 User unknown',
      'last-attempt-date': 'Fri, 2 Jan 2026 00:00:00 +0000',
    },
  ]);
});

test('a person can understand it', () => {
  const text = parts(buildDsn(input))[0]?.body.toString() ?? '';
  for (const words of [
    'could not be delivered',
    '<joe@y.test>',
    'That mailbox does not exist.',
    'mx.y.test [192.0.2.1] said: 550 5.1.1 User unknown',
    'msg-1',
    'hello',
  ]) {
    expect(text).toContain(words);
  }
});

test('a delay says until when it is tried, and that nothing is to be done', () => {
  const { remote: _, ...ours } = recipient;
  const delayed: DsnRecipient = {
    ...ours,
    action: 'delayed',
    reply: { code: 451, enhanced: '4.4.1', text: 'no answer' },
    willRetryUntil: Date.UTC(2026, 0, 6),
  };
  const dsn = buildDsn({ ...input, recipients: [delayed] });
  expect(status(dsn)[1]).toMatchObject({
    action: 'delayed',
    status: '4.4.1',
    'will-retry-until': 'Tue, 6 Jan 2026 00:00:00 +0000',
    'diagnostic-code': 'x-waypost; 451 4.4.1 no answer',
  });
  expect(status(dsn)[1]).not.toHaveProperty('remote-mta');
  expect(parts(dsn)[0]?.body.toString()).toMatch(/do nothing.*tried until Tue, 6 Jan/s);
});

describe('what is returned', () => {
  const big = Buffer.concat([original, Buffer.alloc(RETURN_LIMIT, 'x')]);
  const headers = original.subarray(0, headerEnd(original));

  test.each([
    ['failed', 'FULL', original, false],
    ['failed', 'HDRS', original, true],
    ['failed', undefined, original, true],
    ['delayed', 'FULL', original, true],
    ['delivered', 'FULL', original, true],
    ['failed', 'FULL', big, true],
  ] as const)('for %s with RET=%s', (action, ret, message, headersOnly) => {
    const part = returnedPart(message, action, ret);
    expect(part).toEqual({ returned: headersOnly ? headers : original, headersOnly });
  });

  test('is cut at a line when the header section is huge', () => {
    const { returned } = returnedPart(Buffer.from('X: y\r\n'.repeat(20_000)), 'failed');
    expect(returned.length).toBeLessThanOrEqual(RETURN_LIMIT);
    expect(returned.length).toBeGreaterThan(RETURN_LIMIT - 10);
    expect(returned.toString().endsWith('\r\n')).toBe(true);
  });

  test('headers only are text/rfc822-headers', () => {
    expect(parts(buildDsn({ ...input, returned: headers, headersOnly: true }))[2]).toEqual({
      type: 'text/rfc822-headers',
      encoding: '7bit',
      body: headers,
    });
  });

  test('is labelled 8bit where it is', () => {
    expect(parts(buildDsn({ ...input, returned: Buffer.from('A: b\r\n\r\n\u00e9\r\n') }))[2]?.encoding).toBe('8bit');
  });
});

describe('international mail (RFC 6533)', () => {
  const utf8: DsnRecipient = { ...recipient, address: 'jö@y.test', orcpt: 'utf-8;jö@y.test' };
  const returned = Buffer.from('Subject: é\r\n\r\nbody\r\n');

  test('to an ASCII sender needs no SMTPUTF8', () => {
    const dsn = buildDsn({ ...input, recipients: [utf8], returned, smtputf8: true });
    expect(status(dsn)[1]).toMatchObject({
      'original-recipient': 'utf-8; j\\x{F6}@y.test',
      'final-recipient': 'utf-8; j\\x{F6}@y.test',
    });
    const [, delivery, back] = parts(dsn);
    expect(delivery?.type).toBe('message/delivery-status');
    expect(back).toMatchObject({ type: 'message/global', encoding: 'base64' });
    expect(Buffer.from(back?.body.toString() ?? '', 'base64')).toEqual(returned);
    expect(isSevenBit(dsn.subarray(0, headerEnd(dsn)))).toBe(true);
  });

  test('to an international sender takes the global forms', () => {
    const dsn = buildDsn({
      ...input,
      original: { ...input.original, sender: 'änn@x.test' },
      recipients: [utf8],
      returned,
    });
    expect(status(dsn)[1]).toMatchObject({ 'final-recipient': 'utf-8; jö@y.test' });
    expect(
      parts(dsn)
        .slice(1)
        .map((part) => [part.type, part.encoding]),
    ).toEqual([
      ['message/global-delivery-status', '8bit'],
      ['message/global', '8bit'],
    ]);
    expect(parts(dsn)[2]?.body).toEqual(returned);
  });
});

test('nothing a remote says breaks out of its field, and lines stay in bounds', () => {
  const strange = fc.string({ unit: 'binary', maxLength: 3000 });
  fc.assert(
    fc.property(strange, strange, strange, fc.boolean(), (text, subject, envid, global) => {
      const sender = global ? 'änn@x.test' : 'ann@x.test';
      const dsn = buildDsn({
        ...input,
        envid: `x${envid}`,
        original: { ...input.original, sender, subject, messageId: subject },
        recipients: [{ ...recipient, remote: `mx ${text}`, reply: { code: 550, text }, orcpt: `rfc822;${subject}` }],
      });
      expect(status(dsn).map((block) => Object.keys(block).length)).toEqual([4, 7]);
      expect(new LineEndScanner().hasBare(dsn)).toBe(false);
      expect(
        dsn
          .toString('latin1')
          .split('\r\n')
          .every((line) => line.length <= 998),
      ).toBe(true);
      expect(parts(dsn)).toHaveLength(3);
      if (!global) expect(isSevenBit(parts(dsn)[1]?.body as Buffer)).toBe(true);
    }),
  );
});

const python = spawnSync('python3', ['--version']).status === 0;
describe.skipIf(!python)(`read by Python's email package${python ? '' : ' (SKIPPED: python3 is missing)'}`, () => {
  const script = `
import sys, json, email, email.policy
m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
parts = list(m.iter_parts())
blocks = [dict((k.lower(), str(v)) for k, v in b.items()) for b in parts[1].get_payload()]
print(json.dumps({'type': m.get_content_type(), 'report': m.get_param('report-type'), 'defects': [str(d) for p in m.walk() for d in p.defects],
  'types': [p.get_content_type() for p in parts], 'text': parts[0].get_content(), 'blocks': blocks,
  'subject': parts[2].get_payload()[0]['subject'] if parts[2].is_multipart() else None}))`;
  const read = (dsn: Buffer) => JSON.parse(execFileSync('python3', ['-c', script], { input: dsn }).toString());

  test('it is a report without defects', () => {
    const long = 'word '.repeat(60).trim();
    const second: DsnRecipient = {
      ...recipient,
      address: 'é@y.test',
      action: 'failed',
      reply: { code: 452, enhanced: '4.2.2', text: long },
    };
    const seen = read(buildDsn({ ...input, recipients: [recipient, second] }));
    expect(seen).toMatchObject({
      type: 'multipart/report',
      report: 'delivery-status',
      defects: [],
      types: ['text/plain', 'message/delivery-status', 'message/rfc822'],
      subject: 'hello',
    });
    expect(seen.text).toContain('<é@y.test>');
    expect(seen.blocks).toHaveLength(3);
    expect(seen.blocks[1]).toMatchObject({
      action: 'failed',
      status: '5.1.1',
      'final-recipient': 'rfc822; joe@y.test',
    });
    expect(seen.blocks[2]['diagnostic-code']).toBe(`smtp; 452 4.2.2 ${long}`);
  });
});
