import { fieldValue, formatDate, headerFields, type Origin, receivedField, returnPathField } from '@waypost/mail';
import fc from 'fast-check';
import { expect, test } from 'vitest';

const receivedAt = Date.UTC(2026, 10, 3, 4, 5, 6);
const origin: Origin = {
  kind: 'relay',
  listener: 'trusted',
  protocol: 'ESMTP',
  remoteAddress: '192.0.2.1',
  helo: 'client.test',
};
const build = (over: Partial<Origin> = {}, addresses = ['joe@x.test'], smtputf8 = false) =>
  receivedField('relay.test', {
    id: 'ID',
    receivedAt,
    origin: { ...origin, ...over },
    envelope: { sender: '', recipients: addresses.map((address) => ({ address })), smtputf8 },
  });

test('formatDate', () => expect(formatDate(receivedAt)).toBe('Tue, 3 Nov 2026 04:05:06 +0000'));

test('the whole field', () => {
  expect(build({ protocol: 'ESMTPSA', tls: 'TLSv1.3 TLS_AES_256_GCM_SHA384' })).toBe(
    'Received: from client.test ([192.0.2.1])\r\n\tby relay.test (Waypost) with ESMTPSA id ID\r\n' +
      '\tfor <joe@x.test>\r\n\ttls TLS_AES_256_GCM_SHA384 (TLSv1.3);\r\n\tTue, 3 Nov 2026 04:05:06 +0000\r\n',
  );
});

test.each([
  [{ helo: '[192.0.2.1]' }, 'from [192.0.2.1] ([192.0.2.1])'],
  [{ remoteAddress: '2001:db8::1' }, 'from client.test ([IPv6:2001:db8::1])'],
  [{ helo: 'not a domain (x) ; y\r\nX: z' }, 'from [192.0.2.1] (helo=not a domain ?x? ? y??X: z)'],
  [{ helo: '' }, 'from [192.0.2.1] ([192.0.2.1])'],
] satisfies [Partial<Origin>, string][])('the from clause with %j', (over, expected) =>
  expect(build(over)).toContain(`${expected}\r\n`),
);

test('several recipients, quoted and international ones are not told', () => {
  expect(build({}, ['a@x.test', 'b@x.test'])).not.toContain('for');
  expect(build({}, ['"a;b"@x.test'])).not.toContain('for');
  expect(build({}, ['é@x.test'], true)).toMatch(/with UTF8SMTP id ID;/);
});

test('a cipher without a registered name stands in a comment', () => {
  expect(build({ tls: 'TLSv1.2 ECDHE-X' })).toContain('\t(TLSv1.2 ECDHE-X);');
});

test('nothing a peer says breaks out of the field', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (helo, tls) => {
      const buffer = Buffer.from(`${build({ helo, tls })}Subject: x\r\n\r\n`);
      const fields = headerFields(buffer);
      expect(fields.map((field) => field.name)).toEqual(['received', 'subject']);
      const value = fieldValue(buffer, fields[0] as (typeof fields)[0]);
      expect(value).toContain(' by relay.test (Waypost) with ESMTP id ID');
      expect(value.split(';')).toHaveLength(2);
      const comments = value.replace(/\([^()]*\)/g, '');
      expect(comments).not.toMatch(/[()\\]/);
      expect(
        build({ helo, tls })
          .split('\r\n')
          .every((line) => line.length < 998),
      ).toBe(true);
    }),
  );
});

test('Return-Path', () => expect(returnPathField('')).toBe('Return-Path: <>\r\n'));
