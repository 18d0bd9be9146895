import { once } from 'node:events';
import { connect } from 'node:net';
import { resolve } from 'node:path';
import { ban, listBans, offend } from '@waypost/abuse';
import { loadConfig } from '@waypost/config';
import { openRedis } from '@waypost/redis';
import {
  run,
  SmtpDialog,
  startRedis,
  startWaypost,
  TEST_KEY,
  type TestRedis,
  type WaypostProcess,
  waitFor,
} from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call } from '../../support/http.js';
import { greet, sendMessage } from '../../support/relay.js';

const MAIN = resolve(import.meta.dirname, '../../../services/waypost/dist/main.js');

let redis: TestRedis;
const processes: WaypostProcess[] = [];
beforeAll(async () => {
  redis = await startRedis();
  const start = (services: string[]) =>
    startWaypost({
      redis: redis.url,
      services,
      listeners: services.includes('ingress')
        ? [
            { name: 'submission', kind: 'submission', auth_without_tls: true },
            { name: 'submissions', kind: 'submission', tls: 'implicit' },
            { name: 'trusted', allow: ['127.0.0.0/8'] },
            { name: 'inbound', kind: 'mx', domains: ['example.com'], allow: [], banner_delay: '100ms' },
            {
              name: 'balanced',
              kind: 'mx',
              domains: ['example.com'],
              allow: [],
              banner_delay: '100ms',
              proxy_protocol: ['127.0.4.1'],
            },
          ]
        : [],
      config: {
        http: { trust_proxy: ['127.0.0.1'] },
        abuse: { bans: { exempt: ['127.0.0.1'] }, tarpit: { delay: 0 } },
      },
    });
  processes.push(await start(['ingress']), await start(['ingress', 'api']));
});
afterAll(async () => {
  await Promise.all(processes.map((one) => one.stop()));
  await redis?.stop();
});

const of = (at: number) => processes[at] as WaypostProcess;
const login = (secret: string) => `AUTH PLAIN ${Buffer.from(`\0me\0${secret}`).toString('base64')}`;
const BANNED = /^421 4\.7\.0 Too many failures from your address/;

/** What an address is greeted with. */
async function greeting(at: number, listener: string, localAddress: string): Promise<string> {
  const dialog = await SmtpDialog.open(of(at).port(listener), localAddress);
  const line = await dialog.reply();
  dialog.close();
  return line;
}

async function failLogins(address: string, count: number): Promise<void> {
  for (let left = count; left > 0; ) {
    const dialog = await greet(of(0).port('submission'), { localAddress: address });
    for (let more = 0; more < 3 && left > 0; more += 1, left -= 1) await dialog.say(login('wrong'));
    dialog.close();
  }
}

describe('bans', () => {
  it('an address that fails to log in is banned by all processes and listeners, others are not', async () => {
    const session = await greet(of(1).port('submission'), { localAddress: '127.0.1.1' });
    await failLogins('127.0.1.1', 11);
    await waitFor('the ban to be known', async () => BANNED.test(await greeting(1, 'submission', '127.0.1.1')));
    expect(await greeting(0, 'inbound', '127.0.1.1')).toMatch(BANNED);
    expect(await greeting(1, 'trusted', '127.0.1.1')).toMatch(BANNED);
    // Not even the right secret is looked at, in a session that was there before.
    expect(await session.say(login(TEST_KEY))).toMatch(BANNED);
    const other = await greet(of(0).port('submission'), { localAddress: '127.0.1.2' });
    expect(await other.say(login(TEST_KEY))).toMatch(/^235/);
    other.close();
    const line = await waitFor('the log line', () => of(0).log.find(({ event }) => event === 'ban'));
    expect(line).toMatchObject({ network: '127.0.1.1', reason: 'auth' });
    expect(await of(0).metric('waypost_abuse_bans_total')).toBe(1);
    expect(await of(1).metric('waypost_abuse_banned_networks')).toBe(1);
  });

  it('with implicit TLS a banned address gets no handshake', async () => {
    (await SmtpDialog.openTls(of(1).port('submissions'))).close();
    const socket = connect({ port: of(1).port('submissions'), host: '127.0.0.1', localAddress: '127.0.1.1' });
    const octets: Buffer[] = [];
    socket.on('data', (data: Buffer) => octets.push(data)).on('error', () => undefined);
    await once(socket, 'close');
    expect(octets).toEqual([]);
  });

  it('failed API keys count, for the address that a trusted proxy tells', async () => {
    const ask = (secret: string) =>
      call(of(0).http, '/v1/emails/x', { key: secret, headers: { 'x-forwarded-for': '203.0.113.9' } });
    for (let at = 0; at < 11; at += 1) expect((await ask('wrong')).status).toBe(401);
    await waitFor('the ban', async () => (await ask('wrong')).status === 429);
    const answer = await ask(TEST_KEY);
    expect(answer.body).toMatchObject({ name: 'too_many_failures' });
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(800);
    expect((await call(of(0).http, '/v1/emails/x')).status).toBe(404);
  });

  it('never bans a proxy for what comes from itself, as its probes do', async () => {
    const probe = async (line: string) => {
      const dialog = await SmtpDialog.open(of(0).port('balanced'), '127.0.4.1');
      dialog.write(`PROXY UNKNOWN\r\n${line}`);
      return dialog;
    };
    for (let at = 0; at < 4; at += 1) await (await probe('GET / HTTP/1.1\r\n')).closed();
    const dialog = await probe('');
    expect(await dialog.reply()).toMatch(/^220/);
    dialog.close();
  });

  it.each([
    [
      'early talkers',
      '127.0.2.1',
      2,
      async (address: string) => {
        const dialog = await SmtpDialog.open(of(0).port('inbound'), address);
        dialog.write('EHLO early.test\r\n');
        await dialog.closed();
      },
    ],
    [
      'unknown commands',
      '127.0.2.2',
      5,
      async (address: string) => {
        const dialog = await greet(of(0).port('inbound'), { localAddress: address });
        for (let at = 0; at < 5; at += 1) await dialog.say(`XX${at}`);
        dialog.close();
      },
    ],
    [
      'recipients that are tried out',
      '127.0.2.3',
      1,
      async (address: string) => {
        const dialog = await greet(of(0).port('inbound'), { localAddress: address });
        await dialog.say('MAIL FROM:<a@example.net>');
        for (let at = 0; at < 26; at += 1) await dialog.say(`RCPT TO:<user${at}@example.org>`);
        dialog.close();
      },
    ],
    [
      'smuggling in commands',
      '127.0.2.4',
      4,
      async (address: string) => {
        const dialog = await greet(of(0).port('inbound'), { localAddress: address });
        await dialog.say('NOOP\nMAIL FROM:<a@example.net>');
        dialog.close();
      },
    ],
    [
      'smuggling in messages',
      '127.0.2.5',
      4,
      async (address: string) => {
        const dialog = await greet(of(0).port('inbound'), { localAddress: address });
        const reply = await sendMessage(
          dialog,
          'a\n.\nMAIL FROM:<b@example.net>\r\n',
          'a@example.net',
          'b@example.com',
        );
        expect(reply).toMatch(/^550 5\.5\.2/);
        dialog.close();
      },
    ],
    [
      'HTTP requests',
      '127.0.2.6',
      2,
      async (address: string) => {
        const dialog = await greet(of(0).port('inbound'), { localAddress: address });
        await dialog.say('POST / HTTP/1.1');
        dialog.close();
      },
    ],
  ] as const)('%s are banned after a while', async (_, address, times, offence) => {
    for (let at = 0; at < times; at += 1) {
      expect(await greeting(0, 'submission', address)).toMatch(/^220/);
      await offence(address);
    }
    await waitFor('the ban', async () => BANNED.test(await greeting(1, 'submission', address)));
  });

  it('trusted networks and exempt addresses are not banned', async () => {
    for (let at = 0; at < 4; at += 1) {
      const trusted = await greet(of(0).port('trusted'), { localAddress: '127.0.3.1' });
      for (let more = 0; more < 9; more += 1) await trusted.say('WHAT');
      trusted.close();
      const exempt = await greet(of(0).port('inbound'));
      for (let more = 0; more < 9; more += 1) await exempt.say('WHAT');
      exempt.close();
    }
    expect(await greeting(0, 'inbound', '127.0.3.1')).toMatch(/^220/);
    expect(await greeting(0, 'inbound', '127.0.0.1')).toMatch(/^220/);
  });

  it('an operator bans and lets in again, and the audit keeps it', async () => {
    const cli = (...args: string[]) => run(process.execPath, [MAIN, 'bans', ...args, '--api', of(1).api]);
    expect((await cli('add', '127.0.4.0/24', '--reason', 'scans', '--for', '600')).stdout).toMatch(
      /^127\.0\.4\.0\/24 is banned until/,
    );
    await waitFor('the ban', async () => BANNED.test(await greeting(0, 'inbound', '127.0.4.77')));
    expect((await cli('list')).stdout).toMatch(/^127\.0\.4\.0\/24\t\S+\tloopback\tscans$/m);
    expect((await cli('remove', '127.0.4.0/24')).stdout).toMatch('127.0.4.0/24 is let in again.');
    await waitFor('the way in', async () => /^220/.test(await greeting(0, 'inbound', '127.0.4.77')));
    expect((await cli('remove', '127.0.4.0/24')).stdout).toMatch('was not banned');
    expect((await cli('add', '0.0.0.0/0', '--reason', 'slip')).stderr).toMatch('is no network that could be banned');
    const { body } = await call(of(1).api, '/admin/v1/queue/audit');
    expect(body.data).toContainEqual(
      expect.objectContaining({ action: 'ban', target: '127.0.4.0/24', reason: 'scans' }),
    );
    expect(body.data).toContainEqual(expect.objectContaining({ action: 'unban', target: '127.0.4.0/24' }));
  });

  it('a process that starts later knows the bans there are', async () => {
    await of(0).end();
    await of(0).restart();
    expect(await greeting(0, 'submission', '127.0.1.1')).toMatch(BANNED);
  });
});

describe('the record of bans in Redis', () => {
  const settings = loadConfig({
    text: JSON.stringify({ abuse: { bans: { max_entries: 100, duration: '1m', factor: 3, max_duration: '5m' } } }),
  }).abuse.bans;

  it('bans each time for longer, up to the longest', async () => {
    const handle = await openRedis(loadConfig({ text: JSON.stringify({ redis: { url: redis.url } }) }).redis);
    const lengths: number[] = [];
    for (let times = 0; times < 4; times += 1) {
      const [reply] = (await handle.group.exec([offend('192.0.2.1', 100, 'auth', settings)])) as [[number, number]];
      lengths.push(Math.round((reply[0] - Date.now()) / 60_000));
      // As if the ban had come to its end.
      await handle.client.zadd('wp:abuse:bans', 1, '192.0.2.1');
    }
    expect(lengths).toEqual([1, 3, 5, 5]);
    await handle.close();
  });

  it('holds no more entries than it may, and those that last longest stay', async () => {
    const handle = await openRedis(loadConfig({ text: JSON.stringify({ redis: { url: redis.url } }) }).redis);
    const { group, client } = handle;
    await client.flushall();
    await group.exec([ban('198.51.100.1', 86_400_000, 'by hand', 'me', 100)]);
    for (let at = 0; at < 10; at += 1) {
      const networks = Array.from({ length: 100 }, (_, more) => `10.${at}.0.${more}`);
      await group.exec(networks.map((network) => offend(network, 100, 'auth', settings)));
      await group.exec(networks.map((network) => offend(`${network}1`, 10, 'auth', settings)));
    }
    const counts = await Promise.all([
      client.zcard('wp:abuse:bans'),
      client.hlen('wp:abuse:ban-info'),
      client.zcard('wp:abuse:offenders'),
      client.hlen('wp:abuse:points'),
    ]);
    expect(counts).toEqual([100, 100, 100, 100]);
    expect((await listBans(group, 1000))[0]).toMatchObject({ network: '198.51.100.1', reason: 'by hand', by: 'me' });
    await handle.close();
  });
});

describe('the tarpit', () => {
  it('lets so many wait, holds nothing of what they send, and refuses the others at once', async () => {
    const waypost = await startWaypost({
      redis: redis.url,
      services: ['ingress'],
      listeners: [{ name: 'inbound', kind: 'mx', domains: ['example.com'], allow: [] }],
      config: { abuse: { bans: { exempt: [] }, tarpit: { delay: '2s', sockets: 3 } } },
    });
    const handle = await openRedis(loadConfig({ text: JSON.stringify({ redis: { url: redis.url } }) }).redis);
    await handle.group.exec([ban('127.0.5.0/24', 600_000, 'test', 'me', 100)]);
    const order: string[] = [];
    const waiting = ['1', '2', '3'].map(async (host) => {
      const dialog = await SmtpDialog.open(waypost.port('inbound'), `127.0.5.${host}`);
      dialog.write('EHLO x\r\n'.repeat(1000));
      const reply = await dialog.reply();
      order.push(host);
      return reply;
    });
    await waitFor('three to wait', async () => (await waypost.metric('waypost_abuse_tarpit_sockets')) === 3);
    const dialog = await SmtpDialog.open(waypost.port('inbound'), '127.0.5.4');
    expect(await dialog.reply()).toMatch(BANNED);
    order.push('4');
    for (const reply of await Promise.all(waiting)) expect(reply).toMatch(BANNED);
    expect(order[0]).toBe('4');
    await waitFor('all to be gone', async () => (await waypost.metric('waypost_abuse_tarpit_sockets')) === 0);
    await waypost.stop();
    await handle.close();
  });
});
