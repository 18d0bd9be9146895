import { loadConfig } from '@waypost/config';
import { formatLane, hostOf, parseLane, planOf, type ShapingPlan, siteName } from '@waypost/shaping';
import { describe, expect, it } from 'vitest';

const plan = (config: Record<string, unknown>): ShapingPlan => planOf(loadConfig({ text: JSON.stringify(config) }));
const shaping = (...rules: Record<string, unknown>[]) => plan({ shaping: rules });
/** What a site of these MX hosts is called in a lane. */
const mx = (...hosts: string[]) => `mx:${siteName(hosts)}`;
const EXAMPLE = mx('a.mx.example.net', 'b.mx.example.net');

const sources = (...names: string[]) => names.map((name) => ({ name }));
const pool = (name: string, ...members: (string | [string, number])[]) => ({
  name,
  sources: members.map((member) =>
    typeof member === 'string' ? { source: member } : { source: member[0], weight: member[1] },
  ),
});

/** The limits of a lane's only offer, by key. */
function limits(of: ShapingPlan, lane: string, at = 0) {
  const offer = of.terms(lane).offers[at]?.offer;
  return Object.fromEntries((offer?.limits ?? []).map(({ key, connections, rates }) => [key, { connections, rates }]));
}

describe('names of lanes', () => {
  it.each([
    ['mx:example.net', { base: 'mx:example.net', classes: [] }],
    ['mx:example.net~12345678@bulk', { base: 'mx:example.net~12345678', pool: 'bulk', classes: [] }],
    ['smtp:host:25#tenant=a&tag=b', { base: 'smtp:host:25', classes: ['tenant=a', 'tag=b'] }],
    ['mx:mx.one.net+12345678@p#d=.x', { base: 'mx:mx.one.net+12345678', pool: 'p', classes: ['d=.x'] }],
  ])('%s', (text, name) => {
    expect(parseLane(text)).toEqual(name);
    expect(formatLane(name)).toBe(text);
  });

  it.each([
    ['mx:mx.example.net', 'mx.example.net'],
    ['smtp:smarthost:587', 'smarthost'],
    ['sink', undefined],
    ['maildir:0123', undefined],
    ['lmtp-unix:0123', undefined],
  ])('%s leads to %s', (base, host) => expect(hostOf(base)).toBe(host));
});

describe('the lane of a message', () => {
  const facts = { base: 'mx:mx.example.net', domain: 'example.com' };

  it('is that of its site where no rule singles it out', () => {
    expect(shaping({ site_rate: '1/s' }, { mx: '*.example.net', site_rate: '2/s' }).lane(facts)).toBe(facts.base);
  });

  it.each([
    [{ match: 'example.com' }, {}, 'd=example.com'],
    [{ match: '*.example.com' }, { domain: 'mail.example.com' }, 'd=.example.com'],
    [{ match: 'example.org' }, {}, undefined],
    [{ tenant: 'acme' }, { tenant: 'acme' }, 'tenant=acme'],
    [{ tenant: 'acme' }, { tenant: 'other' }, undefined],
    [{ tenant: 'acme' }, {}, undefined],
    [{ tag: 'news' }, { tags: [{ name: 'news', value: 'x' }] }, 'tag=news'],
    [{ tag: 'kind=bulk' }, { tags: [{ name: 'kind', value: 'bulk' }] }, /^tag=kind_bulk-[0-9a-f]{16}$/],
    [{ tag: 'kind=bulk' }, { tags: [{ name: 'kind', value: 'single' }] }, undefined],
    [{ match: 'example.com', tenant: 'acme' }, { tenant: 'acme' }, 'd=example.com,tenant=acme'],
    [{ match: 'example.com', tenant: 'acme' }, {}, undefined],
    [{ tenant: 'acme', mx: '*.example.org' }, { tenant: 'acme' }, undefined],
    [{ tenant: 'acme', mx: '*.example.net' }, { tenant: 'acme' }, /^mx=.*,tenant=acme$/],
  ])('under the rule %j, of %j', (rule, more, expected) => {
    const { base, classes } = parseLane(shaping(rule).lane({ ...facts, ...more }));
    expect(base).toBe(facts.base);
    const [only] = classes;
    if (expected instanceof RegExp) expect(only).toMatch(expected);
    else expect(classes).toEqual(expected === undefined ? [] : [expected]);
  });

  it('names all rules that single it out, each once', () => {
    const of = shaping({ tenant: 'a' }, { match: 'example.com' }, { tenant: 'a', rate: '1/s' }, { tenant: 'b' });
    expect(of.lane({ ...facts, tenant: 'a' })).toBe(`${facts.base}#tenant=a&d=example.com`);
  });

  it('names its pool, unless it is the default one', () => {
    const of = plan({
      egress: { sources: sources('a', 'b'), pools: [pool('x', 'a'), pool('y', 'b')], default_pool: 'x' },
    });
    expect(of.lane({ ...facts, pool: 'y' })).toBe(`${facts.base}@y`);
    expect(of.lane({ ...facts, pool: 'x' })).toBe(facts.base);
    expect(of.lane(facts)).toBe(facts.base);
  });
});

describe('what holds for a lane', () => {
  it('without any rule is what delivery says', () => {
    const of = plan({ delivery: { connections: 7, messages_per_connection: 9, recipients_per_transaction: 11 } });
    expect(of.terms(EXAMPLE)).toMatchObject({ connections: 7, messagesPerConnection: 9, recipientsPerTransaction: 11 });
    expect(limits(of, EXAMPLE)).toEqual({ [`site:${EXAMPLE}`]: { connections: 7, rates: [] } });
  });

  it('the first rule that says something of it decides, whatever kind it is', () => {
    const rules = [
      { match: 'example.com', messages_per_connection: 1 },
      { mx: '*.example.net', messages_per_connection: 2, recipients_per_transaction: 20 },
      { messages_per_connection: 3, recipients_per_transaction: 30, site_connections: 300 },
    ];
    const domain = `${EXAMPLE}#d=example.com`;
    const said = (of: ShapingPlan, lane: string) => {
      const { messagesPerConnection, recipientsPerTransaction, connections } = of.terms(lane);
      return [messagesPerConnection, recipientsPerTransaction, connections];
    };
    expect(said(shaping(...rules), domain)).toEqual([1, 20, 300]);
    expect(said(shaping(...rules), EXAMPLE)).toEqual([2, 20, 300]);
    expect(said(shaping(...rules), mx('mx.example.org'))).toEqual([3, 30, 300]);
    expect(said(shaping(...[...rules].reverse()), domain)).toEqual([3, 30, 300]);
  });

  const provider = { name: 'big', mx: ['*.example.net'], messages_per_connection: 5, rate: '9/s', tls: 'required' };

  it('what rules leave open a provider says, and what that leaves open delivery', () => {
    const of = plan({
      providers: [provider],
      shaping: [{ tls: 'verify' }],
      delivery: { recipients_per_transaction: 4 },
    });
    const terms = of.terms(EXAMPLE);
    expect(terms).toMatchObject({
      provider: 'big',
      messagesPerConnection: 5,
      recipientsPerTransaction: 4,
      tls: 'verify',
    });
    expect(limits(of, EXAMPLE)['provider:big']).toEqual({
      connections: undefined,
      rates: [{ limit: 9, period: 1000 }],
    });
    expect(of.terms(mx('mx.example.org')).provider).toBeUndefined();
  });

  it('a rule may be for a provider', () => {
    const of = plan({ providers: [provider], shaping: [{ provider: 'big', messages_per_connection: 1 }] });
    expect(of.terms(EXAMPLE).messagesPerConnection).toBe(1);
    expect(of.terms(mx('mx.example.org')).messagesPerConnection).not.toBe(1);
  });

  it('knows large providers, and takes the word of the configuration for them', () => {
    const google = mx('aspmx.l.google.com', 'alt1.aspmx.l.google.com');
    expect(shaping().terms(google)).toMatchObject({ provider: 'google', tls: 'required' });
    const own = plan({ providers: [{ name: 'google', mx: ['*.google.com'], site_connections: 3 }] });
    expect(own.terms(google)).toMatchObject({ provider: 'google', connections: 3 });
    expect(own.terms(google).tls).toBeUndefined();
  });

  it('a rule for a domain means a smart host of that name too, whoever the mail is for', () => {
    const of = shaping({ match: 'smarthost.example', site_connections: 2 });
    expect(of.terms('smtp:smarthost.example:587').connections).toBe(2);
    expect(of.terms('smtp:other.example:587').connections).not.toBe(2);
    expect(of.terms('mx:smarthost.example').connections).not.toBe(2);
  });

  it('a rule on MX hosts means no smart host', () => {
    const of = shaping({ mx: '*.example.net', site_connections: 2 });
    expect(of.terms('smtp:mx.example.net:25').connections).not.toBe(2);
  });

  it('limits over all that a rule matches have a key of their own, those of a site one for each', () => {
    const of = shaping({ tenant: 'a', connections: 2, rate: ['3/s', '4/h'] }, { site_rate: '5/min' });
    const one = limits(of, 'mx:one.test#tenant=a');
    const two = limits(of, 'mx:two.test#tenant=a');
    const shared = {
      connections: 2,
      rates: [
        { limit: 3, period: 1e3 },
        { limit: 4, period: 3_600_000 },
      ],
    };
    expect(one['rule:tenant=a']).toEqual(shared);
    expect(two['rule:tenant=a']).toEqual(shared);
    expect(one['site:mx:one.test']?.rates).toEqual([{ limit: 5, period: 60_000 }]);
    expect(Object.keys(one)).not.toContain('site:mx:two.test');
    expect(limits(of, 'mx:one.test')['rule:tenant=a']).toBeUndefined();
    expect(of.terms('mx:one.test#tenant=a').connections).toBe(2);
  });

  it('retries are those of the first rule, the rest of them delivery’s', () => {
    const of = plan({ shaping: [{ mx: '*.example.net', retry: { initial: '7s' }, max_age: '1h' }] });
    const { retry, maxAge } = of.terms(EXAMPLE);
    const usual = of.terms(mx('mx.example.org'));
    expect(retry).toEqual({ ...usual.retry, initial: 7000 });
    expect(of.terms(mx('mx.example.org')).retry.greylist[0]).toBe(60_000);
    expect(maxAge).toBe(3_600_000);
  });
});

describe('rates', () => {
  it.each([
    ['1/s', 1000],
    ['1/sec', 1000],
    ['1/m', 60_000],
    ['1/min', 60_000],
    ['1 / h', 3_600_000],
    ['1/hour', 3_600_000],
    ['1/d', 86_400_000],
    ['1/day', 86_400_000],
  ])('%s', (site_rate, period) => {
    expect(limits(shaping({ site_rate }), 'mx:a')['site:mx:a']?.rates).toEqual([{ limit: 1, period }]);
  });

  it.each(['0/s', '1/w', '1', '-1/s', '1.5/s', '1/month', '1/sx'])('%s is none', (site_rate) => {
    expect(() => shaping({ site_rate })).toThrow();
  });
});

describe('sources', () => {
  const egress = {
    sources: [{ name: 'a', address: '192.0.2.1' }, { name: 'b' }],
    pools: [pool('both', ['a', 3], 'b'), pool('one', 'b')],
    default_pool: 'both',
  };

  it('each of the pool is an offer with its weight and a limit of its own', () => {
    const of = plan({ egress, shaping: [{ site_connections: 2 }, { source: 'a', site_connections: 5, rate: '6/s' }] });
    const { offers, connections } = of.terms('mx:x');
    expect(offers.map(({ weight, offer }) => [offer.source?.name, weight])).toEqual([
      ['a', 3],
      ['b', 1],
    ]);
    expect(limits(of, 'mx:x', 0)).toMatchObject({
      'site:mx:x|a': { connections: 5 },
      'rule:source=a': { rates: [{ limit: 6, period: 1000 }] },
    });
    expect(limits(of, 'mx:x', 1)).toEqual({ 'site:mx:x|b': { connections: 2, rates: [] } });
    expect(connections).toBe(7);
    expect(of.terms('mx:x@one').offers.map(({ offer }) => offer.source?.name)).toEqual(['b']);
  });

  it('what can be suspended: the site, the source, the provider, each from the source alone, and the mail of a rule', () => {
    const of = plan({ egress, providers: [{ name: 'big', mx: ['x.test'] }], shaping: [{ tenant: 't' }] });
    const scopes = [
      'site:mx:x.test',
      'site:mx:x.test|b',
      'source:b',
      'provider:big',
      'provider:big|b',
      'class:tenant=t',
    ];
    expect(of.terms('mx:x.test@one#tenant=t').offers[0]?.offer.scopes).toEqual(scopes);
  });
});

describe('a warm-up', () => {
  const start = '2026-03-01';
  const of = plan({
    egress: {
      sources: [{ name: 'new', warm_up: { start, per_day: [50, 100] } }],
      pools: [pool('all', 'new')],
      default_pool: 'all',
    },
  });
  const cap = (date: string) =>
    of.terms('mx:x', Date.parse(date)).offers[0]?.offer.limits.find(({ key }) => key === 'warm:new')?.rates;

  it.each([
    ['2026-02-28T23:59:59Z', 0],
    ['2026-03-01T00:00:00Z', 50],
    ['2026-03-01T23:59:59Z', 50],
    ['2026-03-02T00:00:00Z', 100],
  ])('at %s allows %i a day', (date, limit) => expect(cap(date)).toEqual([{ limit, period: 86_400_000 }]));

  it('that is over is no limit', () => expect(cap('2026-03-03T00:00:00Z')).toBeUndefined());
});
