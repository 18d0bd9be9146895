import { isGreylisting, parseReply } from '@waypost/mail';
import { describe, expect, test } from 'vitest';

describe('greylisting is known by what servers say', () => {
  test.each([
    '450 4.2.0 <b@example.org>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/example.org.html',
    '451 4.7.1 Greylisting in action, please come back in 00:05:00',
    '450 4.7.1 <b@example.org>: Recipient address rejected: Greylisted for 5 minutes',
    '451 4.7.1 Try again later: graylisted',
    '451-4.7.1 You have been grey-listed.\r\n451 4.7.1 Please try again',
    '450 4.7.0 Please come back later, unknown triplet',
  ])('%s', (text) => expect(isGreylisting(parseReply(text))).toBe(true));

  test.each([
    '450 4.2.1 The mailbox is busy',
    '451 4.3.0 Temporary failure',
    '452 4.2.2 Mailbox full',
    '421 4.7.0 Too many connections, come back later',
    '550 5.7.1 Greylisting is no excuse',
    '250 2.0.0 Not greylisted',
  ])('not %s', (text) => expect(isGreylisting(parseReply(text))).toBe(false));
});
