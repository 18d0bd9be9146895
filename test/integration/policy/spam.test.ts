import { DnsServer } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EICAR, GTUBE } from '../../support/filters.js';
import { arrival, greet, type Relay, sendMessage, startRelay } from '../../support/relay.js';
import { states } from '../../support/track.js';

const a = (name: string, data: string) => ({ [`${name} A`]: [{ type: 'A' as const, name, ttl: 60, data }] });
const ptr = (name: string, data: string) => ({ [`${name} PTR`]: [{ type: 'PTR' as const, name, ttl: 60, data }] });
const V6 = '4.3.2.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2';

const ZONE = {
  ...a('mail.sender.test', '192.0.2.10'),
  ...ptr('10.2.0.192.in-addr.arpa', 'mail.sender.test'),
  ...a('dsl-192-0-2-99.pool.isp.test', '198.51.100.1'),
  ...ptr('99.2.0.192.in-addr.arpa', 'dsl-192-0-2-99.pool.isp.test'),
  ...a('99.2.0.192.bl.test', '127.0.0.4'),
  ...a(`${V6}.bl.test`, '127.0.0.2'),
  ...a('99.2.0.192.refusing.test', '127.255.255.254'),
  ...a('10.2.0.192.refusing.test', '127.255.255.254'),
  ...a('99.2.0.192.hijacked.test', '203.0.113.80'),
  ...a('bad.test.uri.test', '127.0.0.12'),
  '99.2.0.192.broken.test A': 'SERVFAIL' as const,
};

let dns: DnsServer;
let relay: Relay;
beforeAll(async () => {
  dns = await DnsServer.start(ZONE);
  relay = await startRelay({
    listeners: [
      {
        name: 'inbound',
        kind: 'mx',
        allow: [],
        domains: ['example.org'],
        banner_delay: '0ms',
        xclient: ['127.0.0.0/8'],
      },
      { name: 'trusted' },
      { name: 'strict', kind: 'mx', allow: [], domains: ['example.org'], banner_delay: '0ms', tenant: 'strict' },
    ],
    config: {
      delivery: { dns_servers: [dns.address], retry: { initial: '1s', jitter: 0 } },
      spam: {
        tenants: { strict: { hold: 2 } },
        // What the classifier thinks of a handful of words is not what these tests are about.
        scores: { SUBJECT_SHOUTS: 5.5, CLASSIFIER: 0 },
        dns: {
          address_lists: [
            { zone: 'bl.test', score: 1, codes: { '127.0.0.2': 3.5, '127.0.0.4': 2.5 } },
            { zone: 'refusing.test', score: 50 },
            { zone: 'hijacked.test', score: 50 },
            { zone: 'broken.test', score: 50 },
          ],
          domain_lists: [{ zone: 'uri.test', name: 'WEB', score: 50, codes: { '&8': 4, '&64': 9 } }],
        },
      },
    },
  });
});
afterAll(async () => {
  await relay?.stop();
  await dns?.stop();
});

interface Sent {
  readonly listener?: string;
  readonly client?: string;
  readonly helo?: string;
  readonly fields?: string;
  readonly body?: string;
}

async function send(
  subject: string,
  { listener = 'inbound', client, helo = 'mail.sender.test', fields = '', body = 'hello\r\n' }: Sent = {},
) {
  const dialog = await greet(relay.waypost.port(listener));
  if (client) {
    await dialog.say(`XCLIENT ADDR=${client}`);
    await dialog.say(`EHLO ${helo}`);
  }
  const head = `From: Ann <ann@sender.test>\r\nTo: b@example.org\r\nSubject: ${subject}\r\nDate: ${new Date().toUTCString()}\r\nMessage-ID: <1@sender.test>\r\n`;
  const reply = await sendMessage(dialog, `${head}${fields}\r\n${body}`, 'ann@sender.test');
  dialog.close();
  return /queued as ([0-9a-f-]{36})/.exec(reply)?.[1] ?? reply;
}

/** @returns the spam fields of a message at the next hop, unfolded. */
async function marks(subject: string) {
  const { body } = await arrival(relay.peer, subject);
  const head =
    body
      .toString('latin1')
      .split('\r\n\r\n')[0]
      ?.replace(/\r\n[ \t]+/g, ' ') ?? '';
  const of = (name: string) => [...head.matchAll(new RegExp(`^${name}: (.*)$`, 'gm'))].map(([, value]) => value);
  return { status: of('X-Spam-Status'), symbols: of('X-Spam-Symbols').join(), flag: of('X-Spam-Flag') };
}

describe('the spam score', () => {
  it('marks what goes on, and takes out marks of strangers', async () => {
    await send('good', { client: '192.0.2.10', fields: 'X-Spam-Status: No, trust me\r\nX-Spam-Flag: NO\r\n' });
    const { status, flag } = await marks('good');
    expect(status).toEqual([expect.stringMatching(/^No, score=-?\d+\.\d required=5\.0$/)]);
    expect(flag).toEqual([]);
  });

  it('asks lists about the client, in IPv6 by nibbles, and takes a refusal or a lie for no answer', async () => {
    await send('listed', { client: '192.0.2.99', helo: 'dsl-192-0-2-99.pool.isp.test' });
    const four = await marks('listed');
    expect(four.symbols).toContain('DNSBL_BL_TEST(2.5)');
    expect(four.symbols).not.toMatch(/REFUSING|HIJACKED|BROKEN/);
    await send('listed6', { client: 'IPv6:2001:db8::1234' });
    expect((await marks('listed6')).symbols).toContain('DNSBL_BL_TEST(3.5)');
    expect(dns.questions).toContain(`${V6}.bl.test A`);
    expect(await relay.waypost.metric('waypost_dns_list_answers_total')).toBeGreaterThan(0);
  });

  it('looks at the names of the client', async () => {
    const { symbols } = await marks('listed');
    expect(symbols).toContain('RDNS_GENERIC');
    expect(symbols).toContain('RDNS_UNCONFIRMED');
    expect((await marks('good')).symbols).not.toMatch(/RDNS|HELO/);
    await send('nameless', { client: '192.0.2.200', helo: 'relay.test' });
    const nameless = await marks('nameless');
    expect(nameless.symbols).toContain('RDNS_MISSING');
    expect(nameless.symbols).toContain('HELO_IS_US');
  });

  it('asks lists about domains of links, and reads their bits', async () => {
    await send('linked', { body: 'go to http://www.bad.test/x and http://fine.test/\r\n' });
    expect((await marks('linked')).symbols).toContain('URIBL_WEB(4.0)');
  });

  it('refuses the spam test pattern and the virus test file by itself, as they are and in base64', async () => {
    const base64 = (text: string) => Buffer.from(text).toString('base64');
    for (const text of [GTUBE, EICAR]) {
      const plain = await send('plain', { body: `${text}\r\n` });
      const encoded = await send('encoded', {
        fields: 'MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n',
        body: `${base64(text)}\r\n`,
      });
      for (const id of [plain, encoded]) {
        const [state] = await states(relay, id, 'rejected');
        expect(state?.last_response).toMatchObject({ code: 554, enhanced: '5.7.1' });
      }
    }
  });

  it('goes by the thresholds of a tenant, and by scores of the operator', async () => {
    await states(relay, await send('held', { listener: 'strict', body: 'http://192.0.2.1/\r\n' }), 'held');
    await send('Now!!');
    const { status, symbols } = await marks('Now!!');
    expect(status[0]).toMatch(/^Yes/);
    expect(symbols).toContain('SUBJECT_SHOUTS(5.5)');
  });

  it('leaves mail of trusted hosts alone', async () => {
    await send('trusted', { listener: 'trusted', fields: 'X-Spam-Status: of theirs\r\n', body: `${GTUBE}\r\n` });
    expect((await marks('trusted')).status).toEqual(['of theirs']);
  });
});
