import { DnsServer, txtRecord, waitFor } from '@waypost/testkit';
import { authenticate } from 'mailauth';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dkimKey, newKey, recordsOf } from '../../support/dkim-keys.js';
import { arrival, greet, type Relay, sendMessage, startRelay } from '../../support/relay.js';

const SEAL = newKey('rsa');
const RECORDS = recordsOf(dkimKey(SEAL, 'arc', 'forwarder.test'));

let dns: DnsServer;
let relay: Relay;
beforeAll(async () => {
  const spf = { 'example.com TXT': [txtRecord('example.com', 'v=spf1 ip4:127.0.0.1 -all')] };
  const keys = Object.entries(RECORDS).map(([name, text]) => [`${name} TXT`, [txtRecord(name, text)]] as const);
  dns = await DnsServer.start({ ...spf, ...Object.fromEntries(keys) });
  relay = await startRelay({
    listeners: [
      { name: 'inbound', kind: 'mx', allow: [], domains: ['*.test'], banner_delay: '0ms' },
      { name: 'trusted' },
    ],
    config: {
      delivery: { dns_servers: [dns.address] },
      arc: { seal: { domain: 'forwarder.test', selector: 'arc', key: SEAL, recipients: ['list.test'] } },
    },
  });
});
afterAll(async () => {
  await relay?.stop();
  await dns?.stop();
});

async function forwarded(subject: string, message: string, to = 'b@list.test', listener = 'inbound'): Promise<string> {
  const dialog = await greet(relay.waypost.port(listener));
  expect(await sendMessage(dialog, Buffer.from(message, 'latin1'), 'a@example.com', to)).toMatch(/^250/);
  dialog.close();
  return (await arrival(relay.peer, subject)).body.toString('latin1');
}

async function chainOf(message: string): Promise<string | undefined> {
  const resolver = async (name: string, type: string) => {
    const text = type === 'TXT' ? RECORDS[name] : undefined;
    if (text === undefined) throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
    return [[text]];
  };
  const options = { ip: '192.0.2.1', helo: 'x.test', mta: 'y.test', sender: 'a@example.com', resolver };
  const { arc } = await authenticate(Buffer.from(message, 'latin1'), options);
  return arc ? arc.status.result : undefined;
}

const sealsOf = (message: string) =>
  [...message.matchAll(/^ARC-Seal:[\s\S]*?cv=(\w+);[\s\S]*?i=(\d+);/gm)].map(([, cv, i]) => `${i} ${cv}`);
/** Without what the relay puts before it at each pass, but for the seals. */
const again = (message: string, from: string, to: string) =>
  message.replace(/^X-Waypost-Id:.*\r\n/m, '').replace(`Subject: ${from}`, `Subject: ${to}`);

describe('mail that goes on to others', () => {
  const MESSAGE = 'From: a@example.com\r\nTo: list@list.test\r\nSubject: first\r\n\r\nhello \xe4  \r\n\r\n';

  it('is sealed with what was found of it, and its chain grows from pass to pass', async () => {
    const once = await forwarded('first', MESSAGE);
    expect(sealsOf(once)).toEqual(['1 none']);
    expect(once).toMatch(/^ARC-Authentication-Results: i=1; relay\.test;[\s\S]*?spf=pass/m);
    expect(await chainOf(once)).toBe('pass');
    const twice = await forwarded('second', again(once, 'first', 'second').replace('hello', '[list] hello'));
    expect(sealsOf(twice)).toEqual(['2 fail', '1 none']);
    const thrice = await forwarded('third', again(twice, 'second', 'third'));
    expect(sealsOf(thrice)).toEqual(['2 fail', '1 none']);
  });

  it('whose chain is good when it comes back is sealed again, and verifies', async () => {
    const once = await forwarded('one', MESSAGE.replace('first', 'one'));
    expect(sealsOf(once)).toEqual(['1 none']);
    await forwarded('one', once.replace(/^X-Waypost-Id:.*\r\n/m, 'X-Pass: 2\r\n'));
    const twice = await waitFor('the second pass', () =>
      relay.peer.messages.map(({ body }) => body.toString('latin1')).find((body) => body.includes('X-Pass: 2')),
    );
    expect(sealsOf(twice)).toEqual(['2 pass', '1 none']);
    expect(await chainOf(twice)).toBe('pass');
  });

  it('is left alone for other recipients, and where it is our own', async () => {
    expect(sealsOf(await forwarded('other', MESSAGE.replace('first', 'other'), 'b@else.test'))).toEqual([]);
    expect(sealsOf(await forwarded('own', MESSAGE.replace('first', 'own'), 'b@list.test', 'trusted'))).toEqual([]);
  });
});
