import { loadConfig } from '@waypost/config';
import { bounceAddress, reportAddress, returnPath, signToken, subjectIn, tokenOf } from '@waypost/verp';
import { describe, expect, test } from 'vitest';

const SECRET = '0123456789abcdef0123456789abcdef';
const settings = (bounces: Record<string, unknown>) =>
  loadConfig({ text: JSON.stringify({ bounces: { secret: SECRET, ...bounces } }) }).bounces;
const now = Date.now();
const idAt = (time: number) => {
  const hex = time.toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7abc-8abc-0123456789ab`;
};

describe('the return path', () => {
  const some = settings({
    domain: 'Bounces.example.com',
    verp: 'message',
    rules: [
      { tenant: 'blue', domain: 'bounces.blue.example', verp: 'recipient' },
      { sender: 'own.example', verp: 'off' },
      { match: '*.big.example', tag: 'kind=news', verp: 'recipient' },
    ],
  });
  test.each([
    ['the general one', {}, { domain: 'bounces.example.com', mode: 'message' }],
    ["a tenant's own", { tenant: 'blue' }, { domain: 'bounces.blue.example', mode: 'recipient' }],
    ['none for a sender who wants none', { sender: 'a@own.example' }, undefined],
    ['none for the null sender', { sender: '', tenant: 'blue' }, undefined],
    [
      'by recipient and tag',
      { to: 'x@mx.big.example', tags: [{ name: 'kind', value: 'news' }] },
      { domain: 'bounces.example.com', mode: 'recipient' },
    ],
    ['only where all fits', { to: 'x@mx.big.example' }, { domain: 'bounces.example.com', mode: 'message' }],
  ])('%s', (_, facts, expected) => {
    expect(returnPath(some, { sender: 'a@example.com', to: 'b@example.org', ...facts })).toEqual(expected);
  });

  test('is as it came without a word in the configuration', () => {
    expect(returnPath(settings({}), { sender: 'a@example.com', to: 'b@example.org' })).toBeUndefined();
  });
});

describe('an address', () => {
  const some = settings({
    domain: 'bounces.example.com',
    secret: `${'n'.repeat(32)}\n${SECRET}`,
    rules: [{ domain: 'b.example.net' }],
    feedback: ['FBL@example.com'],
    valid_for: '1d',
  });
  const token = tokenOf(some, { id: idAt(now), i: 3 }) ?? '';
  test.each([
    ['of ours', bounceAddress(token, 'bounces.example.com'), { kind: 'bounce', subject: { id: idAt(now), i: 3 } }],
    [
      'in upper case at another of our domains',
      bounceAddress(token, 'b.example.net').toUpperCase(),
      { kind: 'bounce', subject: { id: idAt(now), i: 3 } },
    ],
    [
      'signed by an older secret',
      bounceAddress(signToken({ id: idAt(now) }, SECRET), 'bounces.example.com'),
      { kind: 'bounce', subject: { id: idAt(now) } },
    ],
    [
      'of a message long gone',
      bounceAddress(signToken({ id: idAt(now - 2 * 86_400_000) }, SECRET), 'bounces.example.com'),
      { kind: 'unknown' },
    ],
    ['that somebody made up', bounceAddress('a'.repeat(45), 'bounces.example.com'), { kind: 'unknown' }],
    ['without the prefix', `${token}@bounces.example.com`, { kind: 'unknown' }],
    ['for complaints', 'fbl@Example.com', { kind: 'feedback' }],
    ['that every domain has', 'Postmaster@bounces.example.com', { kind: 'feedback' }],
    ['elsewhere', bounceAddress(token, 'example.com'), undefined],
    ['without a domain', 'postmaster', undefined],
  ])('%s', (_, address, expected) => expect(reportAddress(some, address, now)).toEqual(expected));

  test('has a local part that any host takes', () => {
    expect(bounceAddress(token, 'x').indexOf('@')).toBe(47);
  });

  test('is found in what a report quotes', () => {
    expect(subjectIn(some, `rfc822;<${bounceAddress(token, 'old.example').toUpperCase()}>`, now)).toMatchObject({
      i: 3,
    });
    expect(subjectIn(some, `${'a'.repeat(45)} ${token}`, now)).toMatchObject({ i: 3 });
    expect(subjectIn(some, `x${token}`, now)).toBeUndefined();
  });
});
