import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call, email } from '../../support/http.js';
import { mostWithin, type Sites, startSites } from '../../support/sites.js';

const SECOND = 1000;
/** Messages that come closer together than they were spaced, where a session was late. */
const BURST = 4;
const [ONE_RATE, TENANT_RATE, PROVIDER_RATE, TAG_RATE] = [40, 20, 20, 2];
const [ONE_CONNECTIONS, PROVIDER_CONNECTIONS, PAIR_CONNECTIONS] = [4, 2, 1];
const CAP = 7;

let sites: Sites;
beforeAll(async () => {
  const today = new Date().toISOString().slice(0, 10);
  sites = await startSites({
    deliveries: 3,
    hosts: {
      'mx.one.test': '127.0.5.1',
      'mx.two.test': '127.0.5.2',
      'mx.three.test': '127.0.5.3',
      'mx1.big.test': '127.0.5.4',
      'mx2.big.test': '127.0.5.5',
      'mx1.pair.test': '127.0.5.6',
      'mx2.pair.test': '127.0.5.7',
      'mx.warm.test': '127.0.5.8',
    },
    domains: {
      'one.test': ['mx.one.test'],
      'two.test': ['mx.two.test'],
      'three.test': ['mx.three.test'],
      'big1.test': ['mx1.big.test'],
      'big2.test': ['mx2.big.test'],
      'pair1.test': ['mx1.pair.test', 'mx2.pair.test'],
      'pair2.test': ['mx2.pair.test', 'mx1.pair.test'],
      'warm.test': ['mx.warm.test'],
    },
    listeners: [{ name: 'trusted' }, { name: 'acme', tenant: 'acme' }],
    config: {
      http: { rate_per_second: 500 },
      // Fewer than the site may have: one process alone cannot serve it.
      delivery: { sessions: 2 },
      providers: [{ name: 'big', mx: ['*.big.test'], rate: `${PROVIDER_RATE}/s`, connections: PROVIDER_CONNECTIONS }],
      shaping: [
        { mx: 'mx.one.test', site_rate: `${ONE_RATE}/s`, site_connections: ONE_CONNECTIONS },
        { tenant: 'acme', rate: `${TENANT_RATE}/s` },
        { tag: 'kind=bulk', rate: `${TAG_RATE}/s` },
        { mx: '*.pair.test', site_connections: PAIR_CONNECTIONS },
        { source: 'old', connections: 3 },
      ],
      egress: {
        sources: [
          {
            name: 'new',
            ehlo: 'new.out.test',
            warm_up: { start: today, per_day: Array.from({ length: 5 }, () => CAP) },
          },
          { name: 'old', ehlo: 'old.out.test' },
        ],
        pools: [
          {
            name: 'warming',
            sources: [
              { source: 'new', weight: 1000 },
              { source: 'old', weight: 1 },
            ],
          },
        ],
      },
      routes: [
        { match: 'warm.test', to: 'mx', pool: 'warming' },
        { match: '*', to: 'mx' },
      ],
    },
  });
});
afterAll(() => sites?.stop());

/** How many delivery processes have delivered something. */
const busy = async () => {
  const counts = await Promise.all(sites.deliveries.map((one) => one.metric('waypost_delivery_attempts_total')));
  return counts.filter((count) => count > 0).length;
};

describe('limits over several delivery processes', () => {
  it('of a site: its rate and connections are never exceeded, by whoever sends', async () => {
    const host = sites.host('mx.one.test');
    // So slow that one session cannot use up the rate.
    host.answer = (phase) => new Promise((resolve) => setTimeout(() => resolve(undefined), phase === 'dot' ? 80 : 0));
    await sites.load(['one.test'], 240);
    await sites.arrived(['mx.one.test'], 240);
    expect(mostWithin(SECOND, host.taken)).toBeLessThanOrEqual(ONE_RATE + BURST);
    expect(host.most).toBeLessThanOrEqual(ONE_CONNECTIONS);
    expect(host.most).toBeGreaterThan(1);
    expect(await busy()).toBeGreaterThan(1);
  });

  it('of a tenant hold over all sites, and for no one else', async () => {
    const [two, three] = [sites.host('mx.two.test'), sites.host('mx.three.test')];
    await sites.load(['two.test', 'three.test'], 80, 'acme');
    await sites.arrived(['mx.two.test', 'mx.three.test'], 80);
    expect(mostWithin(SECOND, two.taken, three.taken)).toBeLessThanOrEqual(TENANT_RATE + BURST);
    const before = two.taken.length;
    await sites.load(['two.test'], 400);
    await sites.arrived(['mx.two.test', 'mx.three.test'], 480);
    // As many as a tenant's limit would take twenty seconds for.
    expect(mostWithin(SECOND, two.taken.slice(before))).toBeGreaterThan(TENANT_RATE + BURST);
  });

  it('of a provider hold over all of its sites', async () => {
    const hosts = ['mx1.big.test', 'mx2.big.test'];
    await sites.load(['big1.test', 'big2.test'], 80);
    await sites.arrived(hosts, 80);
    const [one, two] = hosts.map((name) => sites.host(name));
    expect(mostWithin(SECOND, one?.taken ?? [], two?.taken ?? [])).toBeLessThanOrEqual(PROVIDER_RATE + BURST);
    expect(Math.max(one?.most ?? 0, two?.most ?? 0)).toBeLessThanOrEqual(PROVIDER_CONNECTIONS);
  });

  it('of a tag hold for the messages that have it', async () => {
    const host = sites.host('mx.three.test');
    const before = host.taken.length;
    const send = (number: number) => {
      const tags = [{ name: 'kind', value: 'bulk' }];
      const headers = { 'X-Number': String(100_000 + number) };
      return call(sites.front.http, '/v1/emails', {
        body: email(`tagged ${number}`, { to: 'you@three.test', tags, headers }),
      });
    };
    const answers = await Promise.all(Array.from({ length: 8 }, (_, at) => send(at)));
    expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(200));
    await expect.poll(() => host.taken.length - before, { timeout: 20_000 }).toBe(8);
    expect(mostWithin(SECOND, host.taken.slice(before))).toBeLessThanOrEqual(TAG_RATE + 1);
  });
});

describe('a site', () => {
  it('is all domains with the same MX hosts, whatever their order: they share its lane and its limits', async () => {
    const hosts = ['mx1.pair.test', 'mx2.pair.test'];
    await sites.load(['pair1.test', 'pair2.test'], 60);
    await sites.arrived(hosts, 60);
    const lanes = new Set(sites.deliveries.flatMap(({ log }) => log).map(({ lane }) => String(lane)));
    expect([...lanes].filter((lane) => lane.includes('pair.test'))).toEqual([
      expect.stringMatching(/^mx:pair\.test~[0-9a-f]{8}$/),
    ]);
    for (const name of hosts) expect(sites.host(name).most).toBeLessThanOrEqual(PAIR_CONNECTIONS);
  });
});

describe('a source that is warming up', () => {
  it('sends as many as its day allows, and the pool’s other takes over', async () => {
    const host = sites.host('mx.warm.test');
    await sites.load(['warm.test'], 40);
    await sites.arrived(['mx.warm.test'], 40);
    expect(host.bySource).toEqual({ 'new.out.test': CAP, 'old.out.test': 40 - CAP });
    expect(host.most).toBeLessThanOrEqual(20 + 3);
  });
});
