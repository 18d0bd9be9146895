import { SiteFinder, siteName, siteUnder } from '@waypost/shaping';
import { describe, expect, it } from 'vitest';

describe('the name of a site', () => {
  it.each([
    [['mx.example.net'], 'mx.example.net'],
    [['mx.example.net', 'mx.example.net'], 'mx.example.net'],
    [['a.l.example.net', 'b.l.example.net'], /^l\.example\.net~[0-9a-f]{8}$/],
    [['mx1.example.net', 'deep.mx2.example.net'], /^example\.net~[0-9a-f]{8}$/],
    [['example.net', 'mx.example.net'], /^example\.net~[0-9a-f]{8}$/],
    // `net` is no common owner.
    [['mx.one.net', 'mx.two.net'], /^mx\.one\.net\+[0-9a-f]{8}$/],
    // Labels are compared, not characters.
    [['mx.example.net', 'mx.myexample.net'], /^mx\.example\.net\+/],
  ])('of %j', (hosts, expected) => {
    expect(siteName(hosts)).toEqual(expected instanceof RegExp ? expect.stringMatching(expected) : expected);
  });

  it('does not depend on the order of the hosts, which is that of their preferences', () => {
    const hosts = ['a.example.net', 'b.example.net', 'c.example.net'];
    expect(siteName([...hosts].reverse())).toBe(siteName(hosts));
  });

  it('differs for other hosts of one owner', () => {
    const [one, two] = [siteName(['a.example.net', 'b.example.net']), siteName(['a.example.net', 'c.example.net'])];
    expect(one).not.toBe(two);
  });
});

describe('a pattern of MX hosts', () => {
  const several = siteName(['a.mx.example.net', 'b.mx.example.net']);
  it.each([
    ['mx.example.net', 'mx.example.net', true],
    ['mx.example.net', '*.example.net', true],
    ['mx.example.net', 'example.net', false],
    ['example.net', '*.example.net', false],
    ['mx.myexample.net', '*.example.net', false],
    [several, '*.example.net', true],
    [several, '*.mx.example.net', true],
    [several, '*.a.mx.example.net', false],
    // One of several hosts is not the site.
    [several, 'mx.example.net', false],
    [siteName(['example.net', 'a.example.net']), '*.example.net', true],
    [siteName(['mx.example.net', 'mx.example.org']), '*.example.net', false],
  ])('%s under %s: %s', (site, pattern, expected) => expect(siteUnder(site, pattern)).toBe(expected));
});

describe('finding the site of a domain', () => {
  const source = (found: Record<string, string[] | Promise<string[]>>) => {
    const asked: string[] = [];
    return {
      asked,
      resolveMx: async (domain: string) => {
        asked.push(domain);
        const hosts = await found[domain];
        if (!hosts) throw new Error('no such domain');
        return hosts.map((name) => ({ name }));
      },
    };
  };

  it('domains of one MX set are one site', async () => {
    const mx = ['mx1.example.net', 'mx2.example.net'];
    const finder = new SiteFinder(source({ 'a.test': mx, 'b.test': [...mx].reverse(), 'c.test': ['mx1.example.net'] }));
    const [a, b, c] = await Promise.all(['a.test', 'b.test', 'c.test'].map((domain) => finder.find(domain)));
    expect(a).toMatch(/^mx:example\.net~/);
    expect(b).toBe(a);
    expect(c).toBe('mx:mx1.example.net');
  });

  it('is given up where DNS fails or there is no host', async () => {
    const finder = new SiteFinder(source({ 'empty.test': [] }));
    expect(await finder.find('missing.test')).toBeUndefined();
    expect(await finder.find('empty.test')).toBeUndefined();
  });

  it('slow name servers are waited for once, and asked again when they have answered', async () => {
    const answer = Promise.withResolvers<string[]>();
    const dns = source({ 'slow.test': answer.promise });
    const finder = new SiteFinder(dns, 1);
    expect(await finder.find('slow.test')).toBeUndefined();
    expect(await finder.find('slow.test')).toBeUndefined();
    expect(dns.asked).toEqual(['slow.test']);
    answer.resolve(['mx.example.net']);
    await new Promise((resolve) => setImmediate(resolve));
    expect(await finder.find('slow.test')).toBe('mx:mx.example.net');
  });
});
