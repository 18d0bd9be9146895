import {
  aaaaRecord,
  aRecord,
  DnsServer,
  freePort,
  mxRecord,
  SmtpPeer,
  startRedis,
  startWaypost,
  type TestRedis,
  type WaypostProcess,
} from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arrival, type Relay } from '../../support/relay.js';
import { states, submit } from '../../support/track.js';

let redis: TestRedis;
let dns: DnsServer;
let waypost: WaypostProcess;
let relay: Relay;
/** Knows nothing of SMTPUTF8 · knows it · the same host by IPv6. */
let plain: SmtpPeer;
let modern: SmtpPeer;
let six: SmtpPeer;

beforeAll(async () => {
  const port = await freePort();
  plain = await SmtpPeer.start({ extensions: ['PIPELINING', '8BITMIME', 'DSN'] }, port, '127.0.7.1');
  modern = await SmtpPeer.start({ extensions: ['PIPELINING', '8BITMIME', 'SMTPUTF8', 'DSN'] }, port, '127.0.7.2');
  six = await SmtpPeer.start({}, port, '::1');
  dns = await DnsServer.start({
    // bücher.test and grün.test as A-labels (RFC 5891).
    'xn--bcher-kva.test MX': [mxRecord('xn--bcher-kva.test', 10, 'plain.test')],
    'xn--grn-ioa.test MX': [mxRecord('xn--grn-ioa.test', 10, 'modern.test')],
    'old.test MX': [mxRecord('old.test', 10, 'plain.test')],
    'new.test MX': [mxRecord('new.test', 10, 'modern.test')],
    'plain.test A': [aRecord('plain.test', '127.0.7.1')],
    'modern.test A': [aRecord('modern.test', '127.0.7.2')],
    'both.test A': [aRecord('both.test', '127.0.7.1')],
    'both.test AAAA': [aaaaRecord('both.test', '::1')],
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
        prefer_family: 'ipv6',
        retry: { initial: '1h', jitter: 0 },
      },
    },
  });
  relay = { redis, waypost, peer: plain, stop: async () => undefined };
});
afterAll(async () => {
  await waypost?.stop();
  await Promise.all([plain, modern, six].map((peer) => peer?.stop()));
  await dns?.stop();
  await redis?.stop();
});

const utf8 = { mail: 'SMTPUTF8' };

describe('mail with SMTPUTF8 to a host without it', () => {
  it('goes without SMTPUTF8 where addresses can be written in ASCII and header fields are', async () => {
    const sent = { from: 'a@grün.test', header: 'From: a@new.test' };
    const id = await submit(relay, 'ascii header', { ...utf8, ...sent, to: ['b@bücher.test', 'c@bücher.test'] });
    await states(relay, id, 'delivered', 'delivered');
    const message = await arrival(plain, 'ascii header');
    expect(message.mail).toMatch(/^MAIL FROM:<a@xn--grn-ioa.test>/);
    expect(message.mail).not.toContain('SMTPUTF8');
    expect(message.rcpts).toEqual(['RCPT TO:<b@xn--bcher-kva.test>', 'RCPT TO:<c@xn--bcher-kva.test>']);
  });

  it('goes to those whose address allows it, and comes back from the others', async () => {
    const id = await submit(relay, 'mixed', { ...utf8, from: '', to: ['bü@bücher.test', 'c@bücher.test'] });
    const [first] = await states(relay, id, 'bounced', 'delivered');
    expect(first?.last_response).toMatchObject({ code: 550, enhanced: '5.6.7' });
    expect((await arrival(plain, 'mixed')).rcpts).toEqual(['RCPT TO:<c@xn--bcher-kva.test>']);
  });

  it.each([
    ['Grüße', 'the header fields need', {}],
    ['plain', 'the sender needs', { from: 'ä@new.test', header: 'From: a@new.test' }],
  ])('comes back where it cannot be said in ASCII: %s, %s it', async (subject, why, sent) => {
    const id = await submit(relay, subject, { ...utf8, from: '', ...sent, to: 'b@old.test' });
    const [only] = await states(relay, id, 'bounced');
    expect(only?.last_response).toMatchObject({ code: 550, enhanced: '5.6.7', text: expect.stringContaining(why) });
  });

  it('that came without it goes as it is', async () => {
    const id = await submit(relay, 'Grüße von gestern', { from: '', to: 'b@old.test' });
    await states(relay, id, 'delivered');
  });
});

describe('mail with SMTPUTF8 to a host with it', () => {
  it.each([
    ['an address', { from: '', to: 'bü@grün.test' }, true],
    ['Überschrift', { from: '', to: 'b@new.test' }, true],
    ['nothing', { from: '', to: 'b@new.test' }, false],
  ])('asks for it where %s needs it', async (subject, sent, asked) => {
    await submit(relay, subject, { ...utf8, ...sent });
    const { mail, rcpts } = await arrival(modern, subject);
    expect(/ SMTPUTF8\b/.test(mail)).toBe(asked);
    expect(rcpts).toEqual([`RCPT TO:<${sent.to}>`]);
  });

  it('asks for it also where the message is too large to be kept in memory', async () => {
    const body = `${'x'.repeat(76)}\r\n`.repeat(2000);
    await submit(relay, 'Große Überschrift', { ...utf8, from: '', to: 'b@new.test', body });
    const message = await arrival(modern, 'Große Überschrift');
    expect(message.mail).toContain(' SMTPUTF8');
    expect(message.body.toString()).toContain(body);
    const id = await submit(relay, 'Große Überschrift, alter Host', { ...utf8, from: '', to: 'b@old.test', body });
    await states(relay, id, 'bounced');
  });
});

it('a host with addresses of both families gets its mail over the one that is preferred', async () => {
  const id = await submit(relay, 'families', { to: 'b@both.test' });
  await states(relay, id, 'delivered');
  await arrival(six, 'families');
});
