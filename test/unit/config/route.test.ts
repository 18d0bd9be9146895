import { laneOf, loadConfig, matchRoute, parseTarget, TargetError } from '@waypost/config';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

const routes = (...list: [string, string][]) =>
  loadConfig({ text: JSON.stringify({ routes: list.map(([match, to]) => ({ match, to })) }) }).routes;

describe('routes', () => {
  const table = routes(
    ['*.lists.internal', 'lmtp://dovecot:24'],
    ['a.example.edu', 'sink'],
    ['*.example.edu', 'smtp://first'],
    ['*.example.edu', 'smtp://second'],
    ['*', 'mx'],
  );

  test.each([
    ['x.lists.internal', 'lmtp://dovecot:24'],
    ['x.y.lists.internal', 'lmtp://dovecot:24'],
    ['X.LISTS.Internal', 'lmtp://dovecot:24'],
    ['lists.internal', 'mx'],
    ['xlists.internal', 'mx'],
    ['a.example.edu', 'sink'],
    ['b.example.edu', 'smtp://first'],
    ['example.com', 'mx'],
  ])('%s goes to %s: the first match wins', (domain, to) => expect(matchRoute(table, { domain })?.to).toBe(to));

  test('without a match there is none', () => {
    expect(matchRoute(routes(['example.com', 'mx']), { domain: 'example.org' })).toBeUndefined();
    expect(matchRoute([], { domain: 'example.org' })).toBeUndefined();
  });
});

describe('targets', () => {
  test.each([
    ['mx', { kind: 'mx', domain: 'example.com' }],
    ['sink', { kind: 'sink' }],
    ['smtp://smarthost', { kind: 'smtp', host: 'smarthost', port: 25 }],
    ['smtp://smarthost:587', { kind: 'smtp', host: 'smarthost', port: 587 }],
    ['smtps://Smart.Host', { kind: 'smtps', host: 'smart.host', port: 465 }],
    ['SMTP://host/', { kind: 'smtp', host: 'host', port: 25 }],
    ['lmtp://dovecot', { kind: 'lmtp', host: 'dovecot', port: 24 }],
    ['smtp://[2001:DB8::1]:26', { kind: 'smtp', host: '2001:db8::1', port: 26 }],
    ['lmtp:/run/dovecot/lmtp', { kind: 'lmtp-unix', path: '/run/dovecot/lmtp' }],
    ['maildir:/var/mail/all', { kind: 'maildir', path: '/var/mail/all' }],
  ])('%s', (to, target) => expect(parseTarget(to, 'example.com')).toEqual(target));

  test.each([
    '',
    'MX',
    'smtp:host',
    'smtp://',
    'smtp://:25',
    'smtp://host:',
    'smtp://host:0',
    'smtp://host:65536',
    'smtp://host:123456',
    'smtp://host/path',
    'smtp://two hosts',
    'smtp://::1:25',
    'smtp://[::1',
    'smtp://[1:2]',
    'http://host',
    'maildir:relative',
    'lmtp://user@host',
  ])('%j is none', (to) => {
    expect(() => parseTarget(to, 'example.com')).toThrow(TargetError);
  });
});

describe('lanes', () => {
  test.each([
    ['mx', 'mx:example.com'],
    ['sink', 'sink'],
    ['smtp://smarthost:587', 'smtp:smarthost:587'],
    ['lmtp://dovecot', 'lmtp:dovecot:24'],
  ])('%s is served by lane %s', (to, lane) => expect(laneOf(parseTarget(to, 'example.com'))).toBe(lane));

  test('of different targets differ', () => {
    const targets = ['smtp://a', 'smtp://a:26', 'smtps://a', 'lmtp://a:25', 'smtp://[::1]', 'smtp://[::2]'];
    const paths = ['lmtp:/a', 'lmtp:/b', 'maildir:/a', 'maildir:/b'];
    const lanes = [...targets, ...paths, 'mx', 'sink'].map((to) => laneOf(parseTarget(to, 'a')));
    expect(new Set(lanes).size).toBe(lanes.length);
  });

  test('can stand in a Redis key, and differ, whatever the domain', () => {
    const label = fc.string({ unit: 'binary', minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(label, label, (one, two) => {
        const [first, second] = [one, two].map((domain) => laneOf({ kind: 'mx', domain }));
        expect(first).toMatch(/^mx:[a-z0-9._-]{1,100}$/);
        expect(first === second).toBe(one === two);
      }),
    );
  });
});
