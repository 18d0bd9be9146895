import { type ArcFinding, authenticate, claimsToBe, createKeyCache, vouchedBy } from '@waypost/msgauth';
import { describe, expect, it } from 'vitest';
import { zoneResolver } from '../../support/zone-data.js';

describe('Authentication-Results', () => {
  it.each([
    'mx.example.org; spf=pass',
    'MX.EXAMPLE.ORG 1; spf=pass',
    ' (comment (nested\\) ) ) mx.example.org; none',
    '"mx.example.org"; dkim=pass',
    '"mx.example\\.org" ; dkim=pass',
    'mx.example.org(c);dkim=pass',
    'mx.example.org',
    // Readers who take what stands before the first semicolon see our name.
    '"mx.example.org; dmarc=pass',
    '"mx.example.org; dmarc=pass; x="',
  ])('is ours: %s', (value) => {
    expect(claimsToBe(value, 'mx.example.org')).toBe(true);
  });

  it.each([
    'mx.example.org.evil.example; spf=pass',
    'other.example; mx.example.org',
    '',
    '((((',
    '"',
    ';mx.example.org',
  ])('is not ours: %s', (value) => {
    expect(claimsToBe(value, 'mx.example.org')).toBe(false);
  });

  it('holds strangers’ words so that they can say nothing of their own', async () => {
    const { header } = await authenticate(
      {
        message: Buffer.from('From: a@example.com\r\n\r\n'),
        remoteAddress: '192.0.2.1',
        helo: 'x; dmarc=pass\r\nX-Evil: 1',
        sender: '"a; dmarc=pass (x"@evil";dkim=pass.example',
      },
      {
        resolve: zoneResolver({}),
        keys: createKeyCache(),
        settings: {
          authserv: 'mx.example.org',
          orgDomain: 'psl',
          minBits: 1024,
          maxSignatures: 10,
          partialBody: false,
        },
      },
    );
    expect(header).not.toMatch(/\r\n[^\t]/);
    expect(header.replace(/"(?:[^"\\]|\\.)*"/g, '').match(/\b(?:dkim|dmarc|spf|arc)=\w+/g)).toEqual([
      'dkim=none',
      'spf=none',
      'dmarc=none',
      'arc=none',
    ]);
  });
});

describe('trusted sealers', () => {
  const chain = (...sealers: [string, string][]): ArcFinding => ({
    result: 'pass',
    instance: sealers.length,
    sealers: sealers.map(([domain, results], i) => ({ instance: i + 1, domain, selector: 's', results })),
  });
  const trusted = new Set(['list.example', 'forward.example']);
  const PASS = 'x.example; spf=fail; dmarc=pass header.from=example.com';

  it('vouch for what they saw pass', () => {
    expect(vouchedBy(chain(['list.example', PASS]), trusted, 'example.com')).toMatchObject({ instance: 1 });
    const two = chain(['list.example', PASS], ['forward.example', 'y.example; dmarc=fail']);
    expect(vouchedBy(two, trusted, 'example.com')).toMatchObject({ domain: 'list.example' });
  });

  it.each([
    ['of hops that are not trusted', chain(['evil.example', PASS])],
    ['of hops before one that is not trusted', chain(['list.example', PASS], ['evil.example', 'y; dmarc=fail'])],
    ['that is a comment', chain(['list.example', 'x; dmarc=fail (a (b) ; dmarc=pass)'])],
    ['that is quoted', chain(['list.example', 'x; spf=pass smtp.mailfrom="; dmarc=pass"'])],
    ['on another author', chain(['list.example', 'x; dmarc=pass header.from=example.net'])],
    ['of a chain that failed', { ...chain(['list.example', PASS]), result: 'fail' as const }],
  ])('no word %s', (_, arc) => {
    expect(vouchedBy(arc, trusted, 'example.com')).toBeUndefined();
  });
});
