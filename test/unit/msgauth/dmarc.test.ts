import { checkDmarc, type DkimFinding, type DmarcFinding, type OrgDomainWay, type SpfFinding } from '@waypost/msgauth';
import { describe, expect, it } from 'vitest';
import { type ZoneData, zoneResolver } from '../../support/zone-data.js';

interface Situation {
  readonly from?: readonly string[];
  readonly doubt?: DmarcFinding['doubt'];
  readonly spf?: Partial<SpfFinding>;
  readonly dkim?: readonly (readonly [string, DkimFinding['result']])[];
  readonly zone?: ZoneData;
  readonly way?: OrgDomainWay;
  readonly random?: number;
}

function check({ from = ['example.com'], doubt, spf = {}, dkim = [], zone = {}, way = 'psl', random = 0 }: Situation) {
  return checkDmarc(
    {
      authors: { domains: from, doubt },
      spf: { result: 'none', identity: 'mailfrom', domain: '', ...spf },
      dkim: dkim.map(([domain, result]) => ({ domain, result, selector: 's', identity: '', algorithm: '', tag: '' })),
    },
    { resolve: zoneResolver(zone), orgDomain: way, random: () => random },
  );
}

const record = (text: string) => [{ TXT: `v=DMARC1; ${text}` }];
const REJECT: ZoneData = { '_dmarc.example.com': record('p=reject') };

describe('DMARC', () => {
  it('says nothing of a domain without a record', async () => {
    expect(await check({ spf: { result: 'pass', domain: 'example.com' } })).toMatchObject({ result: 'none' });
  });

  it.each([
    ['SPF of the same domain', { spf: { result: 'pass', domain: 'example.com' } }],
    ['SPF of a subdomain', { spf: { result: 'pass', domain: 'bounce.Example.com' } }],
    ['DKIM of the same domain', { dkim: [['example.com', 'pass']] }],
    [
      'DKIM of a subdomain beside a stranger',
      {
        dkim: [
          ['esp.example', 'pass'],
          ['a.b.example.com', 'pass'],
        ],
      },
    ],
    ['DKIM where SPF fails', { spf: { result: 'fail', domain: 'x.example' }, dkim: [['example.com', 'pass']] }],
  ] as [string, Situation][])('passes by %s', async (_, situation) => {
    const found = await check({ ...situation, zone: REJECT });
    expect(found).toMatchObject({ result: 'pass', policy: 'reject', disposition: 'none' });
  });

  it.each([
    ['nothing that passed', {}],
    ['SPF of another domain', { spf: { result: 'pass', domain: 'example.net' } }],
    ['SPF that is neutral', { spf: { result: 'neutral', domain: 'example.com' } }],
    ['DKIM of a domain whose name only ends alike', { dkim: [['badexample.com', 'pass']] }],
    ['DKIM of the public suffix', { dkim: [['com', 'pass']] }],
    ['DKIM that failed', { dkim: [['example.com', 'fail']] }],
    [
      'a stranger whose DNS is mute',
      { dkim: [['example.net', 'temperror']], spf: { result: 'temperror', domain: 'x.net' } },
    ],
  ] as [string, Situation][])('fails by %s', async (_, situation) => {
    expect(await check({ ...situation, zone: REJECT })).toMatchObject({ result: 'fail', disposition: 'reject' });
  });

  it.each([
    ['SPF', { spf: { result: 'temperror', domain: 'example.com' } }],
    ['DKIM', { dkim: [['mail.example.com', 'temperror']] }],
    ['the record', { zone: { '_dmarc.example.com': ['TIMEOUT'] } }],
  ] as [string, Situation][])('leaves it open while DNS fails for %s', async (_, situation) => {
    expect(await check({ zone: REJECT, ...situation })).toMatchObject({ result: 'temperror', disposition: 'none' });
  });

  it('strict alignment takes the very domain', async () => {
    const zone = { '_dmarc.example.com': record('p=reject; adkim=s; aspf=s') };
    const sub: Situation = {
      spf: { result: 'pass', domain: 'm.example.com' },
      dkim: [['m.example.com', 'pass']],
      zone,
    };
    expect(await check(sub)).toMatchObject({ result: 'fail' });
    expect(await check({ dkim: [['example.com', 'pass']], zone })).toMatchObject({ result: 'pass' });
  });

  it('takes sp for subdomains, np for those that do not exist, and their own record before both', async () => {
    const zone: ZoneData = {
      '_dmarc.example.com': record('p=none; sp=quarantine; np=reject'),
      'there.example.com': [{ MX: [10, 'mx.example.com'] }],
      'own.example.com': [{ A: '192.0.2.1' }],
      '_dmarc.own.example.com': record('p=reject'),
    };
    const asked = async (domain: string) => (await check({ from: [domain], zone })).disposition;
    expect(await asked('example.com')).toBe('none');
    expect(await asked('there.example.com')).toBe('quarantine');
    expect(await asked('gone.example.com')).toBe('reject');
    expect(await asked('own.example.com')).toBe('reject');
  });

  it('takes the next weaker policy outside the share, in the way that knows shares', async () => {
    const zone = { '_dmarc.example.com': record('p=reject; pct=30') };
    expect(await check({ zone, random: 0.29 })).toMatchObject({ disposition: 'reject' });
    expect(await check({ zone, random: 0.31 })).toMatchObject({ disposition: 'quarantine', sampledOut: true });
    expect(await check({ zone, random: 0.31, way: 'tree_walk' })).toMatchObject({ disposition: 'reject' });
    const testing = { '_dmarc.example.com': record('p=reject; t=y') };
    expect(await check({ zone: testing, way: 'tree_walk' })).toMatchObject({ disposition: 'quarantine' });
  });

  it.each([
    ['two records', [{ TXT: 'v=DMARC1; p=reject' }, { TXT: 'v=DMARC1; p=none' }]],
    ['another version', [{ TXT: 'v=DMARC2; p=reject' }]],
    ['a version in another case', [{ TXT: 'v=dmarc1; p=reject' }]],
    ['a version that is not first', [{ TXT: 'p=reject; v=DMARC1' }]],
    ['no policy', [{ TXT: 'v=DMARC1; adkim=s' }]],
    ['a tag twice', [{ TXT: 'v=DMARC1; p=reject; p=none' }]],
  ])('takes no record from %s', async (_, records) => {
    expect(await check({ zone: { '_dmarc.example.com': records } })).toMatchObject({ result: 'none' });
  });

  it('takes a record without a valid policy for none where it asks for reports', async () => {
    const zone = { '_dmarc.example.com': record('p=rejekt; rua=mailto:d@example.com') };
    expect(await check({ zone })).toMatchObject({ result: 'fail', disposition: 'none', record: { p: 'none' } });
  });

  it('of several author domains holds the strictest that fails', async () => {
    const from = ['friendly.example', 'example.com'];
    const found = await check({ from, doubt: 'several author domains', zone: REJECT });
    expect(found).toMatchObject({ result: 'fail', disposition: 'reject', domain: 'example.com' });
    const passing: Situation = { from, doubt: 'several author domains', dkim: [['example.com', 'pass']], zone: REJECT };
    expect(await check(passing)).toMatchObject({ result: 'permerror', doubt: 'several author domains' });
    expect(await check({ from: [], doubt: 'no From' })).toMatchObject({ result: 'permerror', domain: '' });
  });

  describe('by walk', () => {
    /** RFC 9989 §4.10: a public suffix that says so, a domain below it that is no suffix for its own. */
    const zone: ZoneData = {
      '_dmarc.suffix.example': record('p=none; psd=y'),
      '_dmarc.org.suffix.example': record('p=reject'),
      '_dmarc.apart.org.suffix.example': record('p=quarantine; psd=n'),
    };
    const walk = (from: string, signer: string) =>
      check({ from: [from], dkim: [[signer, 'pass']], zone, way: 'tree_walk' });

    it('aligns what lies below one organisation', async () => {
      expect(await walk('a.org.suffix.example', 'b.org.suffix.example')).toMatchObject({ result: 'pass' });
      expect(await walk('org.suffix.example', 'b.org.suffix.example')).toMatchObject({ result: 'pass' });
    });

    it('keeps organisations below a suffix apart', async () => {
      expect(await walk('org.suffix.example', 'other.suffix.example')).toMatchObject({ result: 'fail' });
      expect(await walk('org.suffix.example', 'suffix.example')).toMatchObject({ result: 'fail' });
    });

    it('keeps apart what says that it is no suffix', async () => {
      expect(await walk('a.apart.org.suffix.example', 'org.suffix.example')).toMatchObject({
        disposition: 'quarantine',
      });
      expect(await walk('a.apart.org.suffix.example', 'b.apart.org.suffix.example')).toMatchObject({ result: 'pass' });
    });

    it('takes the suffix’s own policy where the organisation has none', async () => {
      expect(await walk('x.new.suffix.example', 'y.example')).toMatchObject({ policyDomain: 'suffix.example' });
    });

    it('asks eight questions at most', async () => {
      const asked: string[] = [];
      await checkDmarc(
        {
          authors: { domains: [`${'a.'.repeat(40)}example`] },
          spf: { result: 'none', identity: 'mailfrom', domain: '' },
          dkim: [],
        },
        {
          resolve: async (name) => {
            asked.push(name);
            throw Object.assign(new Error(name), { code: 'ENOTFOUND' });
          },
          orgDomain: 'tree_walk',
          random: () => 0,
        },
      );
      expect(asked).toHaveLength(8);
    });
  });
});
