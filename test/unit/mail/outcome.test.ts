import { type AttemptPhase, classifyFailure, classifyReply, parseReply, statusAfter } from '@waypost/mail';
import { describe, expect, test } from 'vitest';

describe('classifyReply', () => {
  test.each<[AttemptPhase, string, object]>([
    ['dot', '250 2.0.0 Ok', { result: 'delivered', scope: 'transaction' }],
    ['dot', '451 4.3.0 later', { result: 'deferred', scope: 'transaction', nextHost: false }],
    ['dot', '421 4.3.0 going', { result: 'deferred', scope: 'transaction', nextHost: false }],
    ['dot', '554 5.7.1 spam', { result: 'bounced', scope: 'transaction' }],
    ['greeting', '554 5.7.1 blocked', { result: 'deferred', scope: 'host', nextHost: true }],
    ['greeting', '521 no mail here', { result: 'deferred', scope: 'host', nextHost: true }],
    ['greeting', '421 busy', { result: 'deferred', scope: 'host', nextHost: true }],
    ['ehlo', '550 bad name', { result: 'bounced', scope: 'host' }],
    ['ehlo', '450 later', { result: 'deferred', scope: 'host', nextHost: true }],
    ['starttls', '554 no', { result: 'deferred', scope: 'host', nextHost: true }],
    ['auth', '535 5.7.8 wrong', { result: 'deferred', scope: 'host', nextHost: false }],
    ['mail', '450 4.7.1 later', { result: 'deferred', scope: 'transaction', nextHost: true }],
    ['mail', '550 5.7.1 no', { result: 'bounced', scope: 'transaction' }],
    [
      'rcpt',
      '450 4.2.0 greylisted',
      { result: 'deferred', scope: 'recipient', nextHost: false, tooManyRecipients: false },
    ],
    ['rcpt', '421 4.7.0 bye', { result: 'deferred', scope: 'host', nextHost: true }],
    ['rcpt', '550 5.1.1 unknown', { result: 'bounced', scope: 'recipient' }],
    ['rcpt', '452 4.5.3 too many', { result: 'deferred', scope: 'recipient', tooManyRecipients: true }],
    ['rcpt', '452 too many recipients', { result: 'deferred', tooManyRecipients: true }],
    ['rcpt', '452 insufficient storage', { result: 'deferred', tooManyRecipients: false }],
    ['rcpt', '552 too many recipients', { result: 'deferred', tooManyRecipients: true }],
    ['rcpt', '552 5.5.3 too many', { result: 'deferred', tooManyRecipients: true }],
    ['rcpt', '552 5.2.2 mailbox full', { result: 'bounced', tooManyRecipients: false }],
    ['rcpt', '552 quota exceeded', { result: 'bounced', tooManyRecipients: false }],
    ['data', '554 no', { result: 'bounced', scope: 'transaction' }],
    ['data', '250 what', { result: 'deferred', scope: 'transaction' }],
    ['mail', 'nonsense', { result: 'deferred' }],
  ])('%s: %s', (phase, raw, expected) => expect(classifyReply(phase, parseReply(raw))).toMatchObject(expected));
});

describe('classifyFailure', () => {
  test.each<[AttemptPhase, string | undefined, string, object, string]>([
    ['connect', 'ECONNREFUSED', 'x', { result: 'deferred', scope: 'host', nextHost: true }, '4.4.1'],
    ['connect', 'ETIMEDOUT', 'x', { result: 'deferred', nextHost: true }, '4.4.1'],
    ['dns', 'ESERVFAIL', 'x', { result: 'deferred', scope: 'host' }, '4.4.3'],
    ['starttls', undefined, 'wrong version', { result: 'deferred', nextHost: true }, '4.7.5'],
    ['ehlo', 'CERT_HAS_EXPIRED', 'x', { result: 'deferred' }, '4.7.5'],
    ['data', 'ECONNRESET', 'x', { result: 'deferred', scope: 'transaction', nextHost: true }, '4.4.2'],
    ['dot', 'ECONNRESET', 'x', { result: 'unknown', scope: 'transaction', nextHost: false }, '4.4.2'],
    ['dot', undefined, 'Timeout', { result: 'unknown', nextHost: false }, '4.4.2'],
  ])('%s %s', (phase, code, message, expected, enhanced) => {
    const outcome = classifyFailure(phase, { ...(code ? { code } : {}), message }, 'mx.test [192.0.2.1]');
    expect(outcome).toMatchObject(expected);
    expect(outcome.reply).toMatchObject({ code: 451, enhanced });
    expect(outcome.reply.text).toContain('mx.test [192.0.2.1]');
  });

  test('remote text can forge no line', () => {
    expect(classifyFailure('ehlo', { message: 'a\rb\u001b\nc' }, 'h').reply.text).toBe(
      'h: connection failed (a?b?) in EHLO',
    );
  });
});

describe('statusAfter', () => {
  const facts = {
    at: 9,
    attempts: 2,
    lane: 'mx:x.test',
    remote: 'mx.test [192.0.2.1]',
    unknownOutcome: 'retry' as const,
  };
  const of = (phase: AttemptPhase, raw: string) => classifyReply(phase, parseReply(raw));
  const unknown = classifyFailure('dot', { code: 'ECONNRESET', message: '' }, 'h');

  test('delivered, bounced, deferred, expired', () => {
    expect(statusAfter(of('dot', '250 ok'), { ...facts, nextAttemptAt: 50 })).toEqual({
      state: 'delivered',
      at: 9,
      attempts: 2,
      lane: 'mx:x.test',
      remote: 'mx.test [192.0.2.1]',
      reply: { code: 250, text: 'ok' },
    });
    expect(statusAfter(of('rcpt', '550 no'), facts).state).toBe('bounced');
    expect(statusAfter(of('rcpt', '450 no'), { ...facts, nextAttemptAt: 50 })).toMatchObject({
      state: 'deferred',
      nextAttemptAt: 50,
    });
    expect(statusAfter(of('rcpt', '450 no'), facts).state).toBe('expired');
  });

  test('an unknown outcome does what the operator chose', () => {
    expect(statusAfter(unknown, { ...facts, nextAttemptAt: 50 }).state).toBe('deferred');
    expect(statusAfter(unknown, { ...facts, nextAttemptAt: 50, unknownOutcome: 'bounce' }).state).toBe('bounced');
    expect(statusAfter(unknown, { ...facts, nextAttemptAt: 50, unknownOutcome: 'hold' }).state).toBe('unknown');
    expect(statusAfter(unknown, { ...facts, unknownOutcome: 'hold' }).state).toBe('expired');
  });
});
