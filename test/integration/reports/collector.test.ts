import { createNodeLookup, MailResolver } from '@waypost/dns';
import { type Command, RedisUncertainError } from '@waypost/redis';
import { dayOf, ReportLedger, type ReportSubject, readTls, TlsCollector } from '@waypost/reports';
import { DnsServer, txtRecord, waitFor } from '@waypost/testkit';
import type { TlsSession } from '@waypost/transport-security';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Opened, openedRedis } from '../../support/stores.js';

const DAY = 86_400_000;
const NOON = Date.parse(`${dayOf(Date.now())}T12:00:00Z`);
let opened: Opened;
let dns: DnsServer;
let clock = NOON;
/** Transactions that the collector asked for. */
let transactions: (readonly Command[])[];
/** Whether the answer to the next one is lost on its way. */
let unheard = false;

beforeAll(async () => {
  opened = await openedRedis();
  dns = await DnsServer.start({});
});
afterAll(async () => {
  await dns?.stop();
  await opened?.stop();
});
beforeEach(async () => {
  clock = NOON;
  transactions = [];
  dns.questions.length = 0;
  dns.zone = (name, type) =>
    name.startsWith('_smtp._tls.') && type === 'TXT' && !name.includes('silent')
      ? [txtRecord(name, 'v=TLSRPTv1; rua=mailto:tls@example.org')]
      : undefined;
  await opened.redis.client.flushall();
});

function collector(goesTo: (domain: string) => boolean = () => true): TlsCollector {
  const lookup = createNodeLookup({ servers: [dns.address], tryTimeout: 2_000, tries: 1 });
  const resolver = new MailResolver({ lookup, now: () => clock });
  return new TlsCollector({
    executor: {
      exec: async (commands, options) => {
        transactions.push(commands);
        const replies = await opened.redis.group.exec(commands, options);
        if (!unheard) return replies;
        unheard = false;
        throw new RedisUncertainError('the answer is lost');
      },
    },
    resolveTxt: (name) => resolver.resolveTxt(name),
    settings: () => ({ window: 3_600_000, goesTo }),
    now: () => clock,
  });
}

function session(domain: string, more: Partial<TlsSession> = {}): TlsSession {
  return { domain, policy: { type: 'no-policy-found', domain }, mx: 'mx.test', receivingAddress: '192.0.2.1', ...more };
}
const failure = (reason: string) => ({ type: 'validation-failure', reason }) as const;
const subject = (domain: string): ReportSubject => ({ kind: 'tls', day: dayOf(clock), domain });
const read = (domain: string) => readTls(opened.redis.group, subject(domain));

describe('sessions that are counted', () => {
  it('of all domains go to Redis together, with one question a domain', async () => {
    const one = collector();
    for (let i = 0; i < 1000; i += 1) one.note(session(`d${i % 10}.test`));
    await one.flush();
    expect(transactions).toHaveLength(1);
    expect((await read('d3.test'))[0]).toMatchObject({ successes: 100, failures: [] });
    one.note(session('d3.test'));
    await one.flush();
    expect((await read('d3.test'))[0]?.successes).toBe(101);
    expect(dns.questions).toHaveLength(10);
    await one.flush();
    expect(transactions).toHaveLength(2);
  });

  it('are those of who asks for reports and is to have them', async () => {
    const one = collector((domain) => domain !== 'excepted.test');
    for (const domain of ['silent.test', 'excepted.test']) one.note(session(domain));
    await one.flush();
    expect(transactions).toEqual([]);
    expect(dns.questions).toEqual(['_smtp._tls.silent.test TXT']);
  });

  it('belong to the day on which they were', async () => {
    const one = collector();
    one.note(session('x.test'));
    clock += DAY;
    one.note(session('x.test'));
    await one.flush();
    expect((await read('x.test'))[0]?.successes).toBe(1);
    const pending = await new ReportLedger(opened.redis.group).pending('tls');
    expect(pending.map(({ subject: { day } }) => day)).toEqual([dayOf(NOON), dayOf(NOON + DAY)]);
  });

  it('wait while DNS does not say whether they are wanted', async () => {
    const { zone } = dns;
    dns.zone = () => 'SERVFAIL';
    const one = collector();
    one.note(session('x.test'));
    await one.flush();
    dns.zone = zone;
    clock += 61_000;
    one.note(session('x.test'));
    await one.flush();
    expect((await read('x.test'))[0]?.successes).toBe(2);
  });

  it('wait while Redis is away, and are counted once', async () => {
    const one = collector();
    one.note(session('x.test', { failure: failure('first') }));
    await opened.server.kill();
    await waitFor('the connection to be lost', () => !opened.redis.group.available);
    await expect(one.flush()).rejects.toThrow();
    one.note(session('x.test', { failure: failure('first') }));
    await opened.server.restart();
    await waitFor('Redis to be back', () => opened.redis.group.available);
    await one.flush();
    expect((await read('x.test'))[0]?.failures).toMatchObject([{ reason: 'first', count: 2 }]);
  });

  it('are counted once where the answer of Redis is lost, those behind them too', async () => {
    const one = collector();
    const domains = Array.from({ length: 40 }, (_, at) => `d${at}.test`);
    for (const domain of domains) one.note(session(domain));
    unheard = true;
    await expect(one.flush()).rejects.toThrow('the answer is lost');
    await one.flush();
    const counts = await Promise.all(domains.map(async (domain) => (await read(domain))[0]?.successes));
    expect(counts).toEqual(domains.map(() => 1));
  });

  it('are no more than there is room for, and none is lost for it', async () => {
    const one = collector();
    for (let round = 0; round < 10; round += 1) {
      for (let i = 0; i < 300; i += 1) one.note(session('x.test', { failure: failure(`${round} ${i}`) }));
      await one.flush();
    }
    const [only] = await read('x.test');
    expect(only?.failures.length).toBeLessThanOrEqual(500);
    expect(only?.failures.reduce((sum, { count }) => sum + count, 0)).toBe(3000);
    for (let i = 0; i < 50; i += 1) {
      one.note(session('y.test', { policy: { type: 'sts', domain: 'y.test', strings: [`max_age: ${i}`] } }));
    }
    await one.flush();
    expect(await read('y.test')).toHaveLength(20);
  });

  it('are none once the report of the day is done with', async () => {
    clock -= 2 * DAY;
    const one = collector();
    one.note(session('x.test'));
    await one.flush();
    const ledger = new ReportLedger(opened.redis.group);
    const claim = await ledger.claim('tls');
    if (typeof claim !== 'object') throw new Error('nothing is due');
    await ledger.finish(claim);
    const before = await read('x.test');
    one.note(session('x.test'));
    await one.flush();
    expect(await read('x.test')).toEqual(before);
    expect(await ledger.count('tls')).toBe(0);
  });

  it('expire', async () => {
    clock = Date.now();
    const one = collector();
    one.note(session('x.test'));
    await one.flush();
    const [key] = await opened.redis.client.keys('wp:{reports-tls}:data:*');
    const left = await opened.redis.client.pttl(key ?? '');
    expect(left).toBeGreaterThan(4 * DAY);
    expect(left).toBeLessThanOrEqual(5 * DAY);
  });
});
