import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  aRecord,
  DnsServer,
  mxRecord,
  SmtpDialog,
  SmtpPeer,
  startRedis,
  startWaypost,
  type TestRedis,
  txtRecord,
  type WaypostProcess,
  waitFor,
} from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call } from '../../support/http.js';
import { greet, sendMessage, toData } from '../../support/relay.js';

let redis: TestRedis;
let dns: DnsServer;
let mailbox: SmtpPeer;
let dir: string;
const file = (name: string) => join(dir, name);
const running: WaypostProcess[] = [];

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'waypost-abuse-'));
  redis = await startRedis();
  dns = await DnsServer.start({
    'example.net MX': [mxRecord('example.net', 10, 'mx.example.net')],
    'example.net TXT': [txtRecord('example.net', 'v=spf1 ip4:127.0.6.0/24 -all')],
    'soft.test MX': [mxRecord('soft.test', 10, 'mx.example.net')],
    'soft.test TXT': [txtRecord('soft.test', 'v=spf1 ~all')],
    'null.test MX': [mxRecord('null.test', 0, '.')],
    'example.com MX': [mxRecord('example.com', 10, 'mx.example.net')],
    'example.com TXT': [txtRecord('example.com', 'v=spf1 ip4:127.0.6.7 -all')],
    'broken.test MX': 'SERVFAIL',
    'plain.test A': [aRecord('plain.test', '127.0.0.1')],
    '8.6.0.127.bl.test A': [aRecord('8.6.0.127.bl.test', '127.0.0.2')],
    '5.6.0.127.bl.test A': [aRecord('5.6.0.127.bl.test', '127.255.255.254')],
  });
  mailbox = await SmtpPeer.start({
    lmtp: true,
    script: (phase, line) => {
      if (phase !== 'rcpt') return undefined;
      if (line.includes('nobody@')) return '550 5.1.1 no such mailbox';
      return line.includes('later@') ? '451 4.3.0 try again' : undefined;
    },
  });
});
afterAll(async () => {
  await Promise.all(running.map((one) => one.stop()));
  await mailbox?.stop();
  await dns?.stop();
  await redis?.stop();
  rmSync(dir, { recursive: true, force: true });
});

async function start(abuse: Record<string, unknown>, more: Record<string, unknown> = {}): Promise<WaypostProcess> {
  const one = await startWaypost({
    redis: redis.url,
    services: ['ingress'],
    listeners: [
      { name: 'inbound', kind: 'mx', domains: ['example.com', 'example.org'], allow: [], banner_delay: 0 },
      { name: 'trusted' },
    ],
    config: { delivery: { dns_servers: [dns.address] }, abuse: { tarpit: { delay: 0 }, ...abuse }, ...more },
  });
  running.push(one);
  return one;
}

async function mailFrom(waypost: WaypostProcess, sender: string, localAddress = '127.0.6.1', helo = 'client.test') {
  const dialog = await SmtpDialog.open(waypost.port('inbound'), localAddress);
  await dialog.reply();
  await dialog.say(`EHLO ${helo}`);
  const reply = await dialog.say(`MAIL FROM:<${sender}>`);
  dialog.close();
  return reply;
}

describe('lists of networks', () => {
  it('deny by configuration and file, allow before deny, and follow their files; a bad file changes nothing', async () => {
    writeFileSync(file('deny'), '# denied\n127.0.7.0/24 ; scanners\n2001:db8::/32\n');
    const waypost = await start({
      lists: { deny: ['127.0.8.1'], deny_files: [file('deny')], allow: ['127.0.7.9'] },
    });
    const greeting = async (address: string, listener = 'inbound') => {
      const dialog = await SmtpDialog.open(waypost.port(listener), address);
      const reply = await dialog.reply();
      dialog.close();
      return reply;
    };
    expect(await greeting('127.0.7.1')).toBe('554 5.7.1 Access denied');
    expect(await greeting('127.0.8.1', 'trusted')).toMatch(/^554/);
    expect(await greeting('127.0.7.9')).toMatch(/^220/);
    expect(await greeting('127.0.9.1')).toMatch(/^220/);

    // As editors and Kubernetes do: another file in its place.
    writeFileSync(file('new'), '127.0.9.0/24\n');
    renameSync(file('new'), file('deny'));
    await waitFor('the new list', async () => (await greeting('127.0.9.1')).startsWith('554'));
    expect(await greeting('127.0.7.1')).toMatch(/^220/);

    writeFileSync(file('deny'), '127.0.7.0/24\n127.0.7.0/33\n');
    const line = await waitFor('the refusal of the file', () =>
      waypost.log.find(({ msg }) => msg === 'a list cannot be read, the old one stays'),
    );
    expect(line.error).toBe(`${file('deny')}, line 2: "127.0.7.0/33" is no network`);
    expect(await greeting('127.0.9.1')).toMatch(/^554/);
    expect(await greeting('127.0.7.1')).toMatch(/^220/);
  });

  it('hold over HTTP too', async () => {
    const waypost = await start({ lists: { deny: ['127.0.0.1'] } });
    expect((await call(waypost.http, '/v1/emails/x')).status).toBe(403);
  });

  it('a start without a list that is asked for is refused', async () => {
    await expect(start({ lists: { deny_files: [file('missing')] } })).rejects.toThrow(/missing cannot be read/);
  });
});

describe('the sender, at MAIL', () => {
  let waypost: WaypostProcess;
  beforeAll(async () => {
    waypost = await start({
      mx: { helo: 'strict', sender_domain: 'reject', spf: 'reject', spoofing: 'header', own_domains: ['*.own.test'] },
      lists: { allow: ['127.0.6.9'] },
    });
  });

  it.each([
    ['example.net', /^250/],
    ['[127.0.0.1]', /^250/],
    ['relay.test', /^550 5\.7\.1 The name you gave in HELO is the name of this server/],
    ['-bad-.test', /^550 5\.7\.1 .* neither a domain nor an address/],
    ['localhost', /^550 5\.7\.1 .* no full name/],
  ])('HELO %s', async (helo, expected) => {
    expect(await mailFrom(waypost, 'a@example.net', '127.0.6.1', helo)).toMatch(expected);
  });

  it.each([
    ['a@example.net', '127.0.6.1', /^250/],
    ['', '127.0.6.1', /^250/],
    ['a@nowhere.test', '127.0.6.1', /^550 5\.1\.8/],
    ['a@plain.test', '127.0.6.1', /^250/],
    ['a@null.test', '127.0.6.1', /^550 5\.7\.27/],
    ['a@broken.test', '127.0.6.1', /^250/],
    ['a@example.net', '127.0.5.1', /^550 5\.7\.23/],
    ['a@soft.test', '127.0.6.1', /^250/],
    [
      'a@example.com',
      '127.0.6.1',
      /^550 5\.7\.1 Sender address rejected: example\.com sends from here with a login only/,
    ],
    ['a@sub.own.test', '127.0.6.1', /^550 5\.7\.1 Sender address rejected/],
    // Their own SPF record lets this one send for them.
    ['a@example.com', '127.0.6.7', /^250/],
    // Always let in.
    ['a@nowhere.test', '127.0.6.9', /^250/],
  ])('<%s> from %s', async (sender, address, expected) => {
    expect(await mailFrom(waypost, sender, address)).toMatch(expected);
  });

  it('refuses our own domains in From as well', async () => {
    const from = async (header: string, localAddress = '127.0.6.1') => {
      const dialog = await greet(waypost.port('inbound'), { localAddress });
      const reply = await sendMessage(
        dialog,
        `From: ${header}\r\nSubject: x\r\n\r\n`,
        'a@example.net',
        'b@example.com',
      );
      dialog.close();
      return reply;
    };
    expect(await from('The Boss <boss@example.com>')).toMatch(/^550 5\.7\.1 From header rejected: boss@example\.com/);
    expect(await from('a@example.net, boss@sub.own.test')).toMatch(/^550 5\.7\.1/);
    expect(await from('"boss@example.com" <a@example.net>')).toMatch(/^250/);
    // Nobody reads so long a field to its end, but those it is meant for.
    expect(await from(`"${'x'.repeat(900)}\r\n ${`${'x'.repeat(900)}\r\n `.repeat(20)}" <boss@example.com>`)).toMatch(
      /^550 5\.7\.1/,
    );
    expect(await from('boss@example.com', '127.0.6.9')).toMatch(/^250/);
  });

  it('holds nothing of it against trusted networks', async () => {
    const dialog = await greet(waypost.port('trusted'));
    expect(await sendMessage(dialog, 'From: a@example.com\r\n\r\n', 'a@example.com', 'b@example.com')).toMatch(/^250/);
    dialog.close();
  });

  it('refuses clients in DNS lists, and believes no list that refuses to answer', async () => {
    const lists = { mx: { dns_lists_reject: 5 } };
    const spam = { dns: { address_lists: [{ zone: 'bl.test', score: 6 }] } };
    const listening = await start(lists, { spam });
    expect(await mailFrom(listening, 'a@example.net', '127.0.6.8')).toMatch(
      /^554 5\.7\.1 Your address is listed: 127\.0\.6\.8 is in bl\.test/,
    );
    expect(await mailFrom(listening, 'a@example.net', '127.0.6.5')).toMatch(/^250/);
    expect(await mailFrom(listening, 'a@example.net', '127.0.6.1')).toMatch(/^250/);
  });

  it('counts what it refuses', async () => {
    expect(await waypost.metric('waypost_abuse_refused_total')).toBe(8);
  });
});

describe('the recipient, at RCPT', () => {
  const rcpt = async (waypost: WaypostProcess, recipient: string) => {
    const dialog = await greet(waypost.port('inbound'), { localAddress: '127.0.6.1' });
    await dialog.say('MAIL FROM:<a@example.net>');
    const reply = await dialog.say(`RCPT TO:<${recipient}>`);
    dialog.close();
    return reply;
  };

  it('must be in the list of its domain, where there is one; else the next hop is asked, and its answer kept', async () => {
    writeFileSync(file('recipients'), 'somebody@example.org\n');
    const waypost = await start({
      recipients: { files: [file('recipients')], call_forward: { to: `lmtp://127.0.0.1:${mailbox.port}` } },
    });
    expect(await rcpt(waypost, 'Somebody@example.org')).toMatch(/^250/);
    expect(await rcpt(waypost, 'somebody+detail@example.org')).toMatch(/^250/);
    expect(await rcpt(waypost, 'other@example.org')).toMatch(/^550 5\.1\.1/);
    expect(await rcpt(waypost, 'postmaster@example.org')).toMatch(/^250/);
    expect(mailbox.connections).toBe(0);

    for (let times = 0; times < 3; times += 1) {
      expect(await rcpt(waypost, 'somebody@example.com')).toMatch(/^250/);
      expect(await rcpt(waypost, 'nobody@example.com')).toMatch(/^550 5\.1\.1/);
    }
    expect(mailbox.connections).toBe(2);
    expect(mailbox.commands).toContain('MAIL FROM:<>');
    expect(mailbox.messages).toEqual([]);
    // No answer is no reason to take or to refuse, and is not kept.
    expect(await rcpt(waypost, 'later@example.com')).toMatch(/^450 4\.4\.3/);
    expect(await rcpt(waypost, 'later@example.com')).toMatch(/^450 4\.4\.3/);
    expect(mailbox.connections).toBe(4);

    writeFileSync(file('recipients'), 'other@example.org\n');
    await waitFor('the new list', async () => (await rcpt(waypost, 'other@example.org')).startsWith('250'));
    expect(await rcpt(waypost, 'somebody@example.org')).toMatch(/^550 5\.1\.1/);
  });

  it('without the next hop it is put off', async () => {
    const waypost = await start({ recipients: { call_forward: { to: 'smtp://127.0.0.1:1', timeout: '1s' } } });
    expect(await rcpt(waypost, 'somebody@example.com')).toMatch(/^450 4\.4\.3/);
  });
});

describe('greylisting', () => {
  const settings = { when: 'suspicious', delay: '1s', clients_after: 2 };

  it('puts off a stranger once, over all processes, and its network not any more once it came again often', async () => {
    const [one, other] = [await start({ greylist: settings }), await start({ greylist: settings })];
    const send = async (waypost: WaypostProcess, localAddress: string, sender: string, to = 'b@example.com') => {
      const dialog = await greet(waypost.port('inbound'), { localAddress });
      await dialog.say(`MAIL FROM:<${sender}>`);
      const reply = await dialog.say(`RCPT TO:<${to}>`);
      dialog.close();
      return reply;
    };
    expect(await send(one, '127.0.10.1', 'a@soft.test')).toMatch(/^451 4\.7\.1 Greylisted, try again in \d+ s/);
    // From another host of its network, through another process, once the time is over.
    await waitFor('it to pass', async () => (await send(other, '127.0.10.2', 'a@soft.test')).startsWith('250'));
    expect(await send(one, '127.0.10.1', 'a@soft.test')).toMatch(/^250/);
    // Somebody else from there is new, until enough came again.
    expect(await send(one, '127.0.10.1', 'b@soft.test')).toMatch(/^451/);
    await waitFor('the second to pass', async () => (await send(one, '127.0.10.1', 'b@soft.test')).startsWith('250'));
    expect(await send(other, '127.0.10.1', 'c@soft.test')).toMatch(/^250/);
    // Another network is new.
    expect(await send(one, '127.0.11.1', 'a@soft.test')).toMatch(/^451/);
    // SPF vouches for this one.
    expect(await send(one, '127.0.6.1', 'a@example.net')).toMatch(/^250/);
    const trusted = await greet(one.port('trusted'));
    await toData(trusted, 'a@soft.test', 'b@example.com');
    trusted.close();
  });
});
