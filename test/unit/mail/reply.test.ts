import {
  conditionOf,
  formatReply,
  isPermanent,
  isTransient,
  parseEnhanced,
  parseReply,
  SmtpError,
  statusOf,
} from '@waypost/mail';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

describe('parseReply', () => {
  test.each([
    ['250 2.0.0 Ok: queued as 1', { code: 250, enhanced: '2.0.0', text: 'Ok: queued as 1' }],
    ['250 Ok', { code: 250, text: 'Ok' }],
    [
      '550-5.1.1 No such\r\n550-5.1.1 user\r\n550 5.1.1 here',
      { code: 550, enhanced: '5.1.1', text: 'No such\nuser\nhere' },
    ],
    ['550-5.7.1 one\n550 two', { code: 550, enhanced: '5.7.1', text: 'one\ntwo' }],
    ['550 4.7.1 odd', { code: 550, text: '4.7.1 odd' }],
    ['421 4.3.2', { code: 421, enhanced: '4.3.2', text: '' }],
    ['250', { code: 250, text: '' }],
    ['550 5.1.1x no status', { code: 550, text: '5.1.1x no status' }],
    ['250 192.0.2.1 greets', { code: 250, text: '192.0.2.1 greets' }],
    ['garbage', { code: 0, text: 'garbage' }],
    ['', { code: 0, text: '' }],
    ['550 a\u0000b\u001b[31m\rc\u0085d', { code: 550, text: 'a?b?[31m?c?d' }],
  ])('%j', (raw, expected) => expect(parseReply(raw)).toEqual(expected));

  test('never throws, bounds its text and can forge no line', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 2000 }), (raw) => {
        const reply = parseReply(raw);
        expect(reply.text.length).toBeLessThanOrEqual(1000);
        expect(formatReply(reply)).not.toMatch(/[\r\n\0]/);
      }),
    );
  });
});

test('formatReply', () => {
  expect(formatReply({ code: 550, enhanced: '5.1.1', text: 'a\nb' })).toBe('550 5.1.1 a b');
  expect(formatReply({ code: 0, text: 'why' })).toBe('why');
});

test('classes', () => {
  expect([isTransient({ code: 450, text: '' }), isPermanent({ code: 450, text: '' })]).toEqual([true, false]);
  expect([isTransient({ code: 550, text: '' }), isPermanent({ code: 550, text: '' })]).toEqual([false, true]);
  expect(statusOf({ code: 550, text: '' })).toBe('5.0.0');
  expect(statusOf({ code: 0, text: '' })).toBe('4.0.0');
  expect(statusOf({ code: 250, text: '' })).toBe('2.0.0');
  expect(parseEnhanced('5.7.30')).toEqual({ class: 5, subject: 7, detail: 30 });
  expect(parseEnhanced('3.1.1')).toBeUndefined();
  expect(conditionOf({ code: 550, enhanced: '5.1.10', text: '' })).toBe('1.10');
});

test('SmtpError keeps the public reply apart from its cause', () => {
  const error = new SmtpError(451, '4.3.0', 'later', { cause: new Error('secret') });
  expect(error.reply).toEqual({ code: 451, enhanced: '4.3.0', text: 'later' });
  expect(error.message).not.toContain('secret');
});
