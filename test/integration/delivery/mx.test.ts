import {
  aRecord as a,
  DnsServer,
  freePort,
  mxRecord as mx,
  run,
  SmtpPeer,
  startRedis,
  startWaypost,
  type TestRedis,
  type WaypostProcess,
  waitFor,
} from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Relay } from '../../support/relay.js';
import { states, submit } from '../../support/track.js';

const LANES = 200;

let redis: TestRedis;
let waypost: WaypostProcess;
let dns: DnsServer;
/** Mail hosts on loopback addresses of their own, all on one port: `one`, `two` and one that defers at its greeting. */
let one: SmtpPeer;
let two: SmtpPeer;
let sulky: SmtpPeer;
let relay: Relay;

beforeAll(async () => {
  const port = await freePort();
  one = await SmtpPeer.start({}, port, '127.0.1.1');
  two = await SmtpPeer.start({}, port, '127.0.1.2');
  const script = (phase: string) => (phase === 'greeting' ? '421 4.3.2 busy' : undefined);
  sulky = await SmtpPeer.start({ script }, port, '127.0.1.3');
  const many = Array.from({ length: LANES }, (_, i) => `many${i}.test`);
  dns = await DnsServer.start({
    'one.mail.test A': [a('one.mail.test', '127.0.1.1')],
    'two.mail.test A': [a('two.mail.test', '127.0.1.2')],
    'sulky.mail.test A': [a('sulky.mail.test', '127.0.1.3')],
    // Nothing listens there.
    'dead.mail.test A': [a('dead.mail.test', '127.0.1.9')],
    'preferred.test MX': [mx('preferred.test', 20, 'two.mail.test'), mx('preferred.test', 10, 'one.mail.test')],
    'fallback.test MX': [mx('fallback.test', 10, 'dead.mail.test'), mx('fallback.test', 20, 'two.mail.test')],
    'busy.test MX': [mx('busy.test', 10, 'sulky.mail.test'), mx('busy.test', 20, 'two.mail.test')],
    'equal.test MX': [mx('equal.test', 10, 'one.mail.test'), mx('equal.test', 10, 'two.mail.test')],
    'implicit.test A': [a('implicit.test', '127.0.1.1')],
    'null.test MX': [mx('null.test', 0, '.')],
    'broken.test MX': 'SERVFAIL',
    'ours.test MX': [mx('ours.test', 10, 'relay.test')],
    ...Object.fromEntries(many.map((name) => [`${name} MX`, [mx(name, 10, 'one.mail.test')]])),
  });
  redis = await startRedis();
  waypost = await startWaypost({
    redis: redis.url,
    listeners: [{ name: 'trusted' }],
    config: {
      routes: [{ match: '*', to: 'mx' }],
      delivery: {
        dns_servers: [dns.address],
        mx_port: port,
        idle: '200ms',
        retry: { initial: '300ms', factor: 1, jitter: 0 },
      },
    },
  });
  relay = { redis, waypost, peer: one, stop: async () => undefined };
});
afterAll(async () => {
  await waypost?.stop();
  await Promise.all([one, two, sulky].map((peer) => peer?.stop()));
  await dns?.stop();
  await redis?.stop();
});

const has = (peer: SmtpPeer, subject: string) =>
  peer.messages.some(({ body }) => body.includes(`Subject: ${subject}\r\n`));

describe('mail exchangers', () => {
  it.each<[string, () => SmtpPeer]>([
    ['preferred.test', () => one],
    ['fallback.test', () => two],
    ['busy.test', () => two],
    ['implicit.test', () => one],
  ])('%s', async (domain, peer) => {
    const id = await submit(relay, domain, { to: `b@${domain}` });
    const [only] = await states(relay, id, 'delivered');
    expect(only?.attempts).toBe(1);
    expect(has(peer(), domain)).toBe(true);
  });

  it('of equal preference share the mail', async () => {
    for (let i = 0; !(has(one, 'equal one') && has(two, 'equal one')) && i < 40; i += 1) {
      const id = await submit(relay, 'equal one', { to: 'b@equal.test' });
      await states(relay, id, 'delivered');
      // The connection is let go, so that the next message chooses anew.
      await waitFor('idle connections to end', () => one.open + two.open === 0);
    }
    expect([has(one, 'equal one'), has(two, 'equal one')]).toEqual([true, true]);
  });

  it.each([
    ['null.test', 556, '5.1.10'],
    ['missing.test', 550, '5.4.4'],
    ['ours.test', 554, '5.4.6'],
  ])('%s bounces', async (domain, code, enhanced) => {
    const id = await submit(relay, domain, { from: '', to: `b@${domain}` });
    const [only] = await states(relay, id, 'bounced');
    expect(only?.last_response).toMatchObject({ code, enhanced });
  });

  it('that cannot be looked up now are tried again, and found when DNS is back', async () => {
    const id = await submit(relay, 'broken', { to: 'b@broken.test' });
    const [only] = await states(relay, id, 'deferred');
    expect(only?.last_response).toMatchObject({ code: 451, enhanced: '4.4.3' });
    dns.zone = { ...dns.zone, 'broken.test MX': [mx('broken.test', 10, 'one.mail.test')] };
    await states(relay, id, 'delivered');
  });
});

describe('lanes', () => {
  it('of 200 domains are all served, and leave nothing in Redis when they are empty', async () => {
    const ids = [];
    for (let i = 0; i < LANES; i += 1) ids.push(await submit(relay, `lane ${i}`, { to: `b@many${i}.test` }));
    for (const id of ids) await states(relay, id, 'delivered');
    const keys = async (pattern: string) =>
      (await run('redis-cli', ['-p', String(redis.port), '--scan', '--pattern', pattern])).stdout.trim();
    await waitFor('empty lanes to go', async () => {
      const left = [await keys('wp:lane:*'), await keys('wp:lease:*'), await keys('wp:lanes:due')].join('\n').trim();
      if (left === '') return true;
      throw new Error(`still there: ${left}`);
    });
  });
});
