import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TEST_KEY, waitFor } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixtures } from '../../support/fixtures.js';
import { call } from '../../support/http.js';
import { arrival, greet, type Relay, startRelay } from '../../support/relay.js';
import { complaint, ended, exchangeLike, postfixLike, report } from '../../support/reports.js';
import { dsnOf, eventTypes, states, submit } from '../../support/track.js';

const DOMAIN = 'bounces.example.com';
let relay: Relay;
beforeAll(async () => {
  relay = await startRelay({
    listeners: [
      { name: 'trusted' },
      { name: 'blue', tenant: 'blue' },
      { name: 'inbound', kind: 'mx', allow: [], domains: ['example.net'], banner_delay: '0ms' },
    ],
    peer: { script: (phase, line) => (phase === 'rcpt' && /<refused/.test(line) ? '550 5.1.1 nobody' : undefined) },
    config: {
      bounces: {
        domain: DOMAIN,
        secret: 'an-old-secret-0123456789-0123456789',
        verp: 'recipient',
        rules: [
          { sender: 'shared.example', verp: 'message' },
          { sender: 'plain.example', verp: 'off' },
        ],
        feedback: ['fbl@example.com'],
      },
      suppressions: { causes: { mailbox_full: { for: '7d' } } },
      keys: [{ id: 'test', secret: TEST_KEY, scopes: ['send', 'read', 'admin'] }],
    },
  });
});
afterAll(() => relay?.stop());

/** The reverse-paths that a message's recipients saw, by recipient. */
async function pathsOf(subject: string, to: readonly string[], from = 'a@example.com', listener = 'trusted') {
  const id = await submit(relay, subject, { to, from, listener });
  await states(relay, id, ...to.map(() => 'delivered'));
  const found = relay.peer.messages.filter(({ body }) => body.includes(`\r\nSubject: ${subject}\r\n`));
  const paths = new Map<string, string>();
  for (const { mail, rcpts } of found) {
    for (const rcpt of rcpts) paths.set(address(rcpt), address(mail));
  }
  return { id, found, path: (who = to[0] ?? '') => paths.get(who) ?? '' };
}
const address = (line: string) => /<([^>]*)>/.exec(line)?.[1] ?? '';
const view = async (id: string) => (await call(relay.waypost.http, `/v1/emails/${id}`)).body;
const suppressed = async (who: string) => call(relay.waypost.http, `/v1/suppressions/${who}`);
const counted = (kind: string, result: string) =>
  relay.waypost.metric(`waypost_returned_total{kind="${kind}",result="${result}"}`);

describe('the reverse-path', () => {
  it('is one for each recipient, each in a transaction of its own, and the header says the same', async () => {
    const { id, found, path } = await pathsOf('three', ['x@example.org', 'y@example.org', 'z@example.org']);
    expect(found).toHaveLength(3);
    // Each is a job of its own, so that each counts against the limits.
    expect((await eventTypes(relay, id)).filter((type) => type === 'Delivery')).toHaveLength(3);
    expect(new Set(['x', 'y', 'z'].map((name) => path(`${name}@example.org`))).size).toBe(3);
    for (const { mail, body } of found) {
      expect(address(mail)).toMatch(/^b-[a-z2-7]{45}@bounces\.example\.com$/);
      expect(body.toString()).toMatch(new RegExp(`^X-Waypost-Trace: ${address(mail).slice(2, 47)}\r\n`));
    }
  });

  it('is one for the transaction where recipients share it', async () => {
    const { found } = await pathsOf('two', ['x@example.org', 'y@example.org'], 'a@shared.example');
    expect(found).toHaveLength(1);
    expect(address(found[0]?.mail ?? '')).toMatch(/^b-[a-z2-7]{45}@/);
  });

  it('stays where no VERP is asked for', async () => {
    const { path } = await pathsOf('plain', ['x@example.org'], 'a@plain.example');
    expect(path()).toBe('a@plain.example');
  });

  it('is not where our own report goes: the sender hears of a refusal as ever', async () => {
    const id = await submit(relay, 'refused at once', { to: 'refused@example.org' });
    await states(relay, id, 'bounced');
    const { message } = await dsnOf(relay.peer, id);
    expect(message.mail).toMatch(/^MAIL FROM:<>/);
    expect(message.rcpts[0]).toMatch(/^RCPT TO:<a@example\.com>/);
    expect(message.body.toString()).not.toContain('X-Waypost-Trace');
  });
});

describe('a bounce that comes later', () => {
  it('is noted on the recipient, whose state stays, and suppresses his address', async () => {
    const { id, path } = await pathsOf('gone', ['gone@example.org', 'here@example.org']);
    const to = path('gone@example.org');
    await ended(relay, await report(relay, to, postfixLike({ recipient: 'gone@example.org', to })));
    const { recipients, last_event } = await view(id);
    expect(recipients[0]).toMatchObject({
      state: 'delivered',
      late_bounce: {
        cause: 'user_unknown',
        hard: true,
        response: { code: 550, enhanced: '5.1.1' },
        remote: 'box.example.org',
        proven: true,
      },
    });
    expect(recipients[1]).toMatchObject({ state: 'delivered', late_bounce: null });
    expect(last_event).toBe('bounced');
    expect(await eventTypes(relay, id)).toEqual(['Reception', 'Queued', 'Delivery', 'Delivery', 'OOB']);
    expect((await suppressed('gone@example.org')).body).toMatchObject({ cause: 'user_unknown', email_id: id });
    expect((await suppressed('here@example.org')).status).toBe(404);
  });

  it('goes on to the sender from the null sender, as it came', async () => {
    const { path } = await pathsOf('told', ['told@example.org'], 'teller@example.com');
    const to = path();
    const body = postfixLike({ recipient: 'told@example.org', to });
    await ended(relay, await report(relay, to, body));
    const copy = await waitFor('the bounce at its sender', () =>
      relay.peer.messages.find(({ rcpts }) => rcpts[0]?.startsWith('RCPT TO:<teller@example.com>')),
    );
    expect(copy.mail).toMatch(/^MAIL FROM:<>/);
    expect(copy.body.toString()).toContain(body);
  });

  it('does not where he wants none', async () => {
    const id = await submit(relay, 'quiet', { to: 'q@example.org', from: 'quiet@example.com', rcpt: 'NOTIFY=NEVER' });
    await states(relay, id, 'delivered');
    const to = address((await arrival(relay.peer, 'quiet')).mail);
    const end = await ended(relay, await report(relay, to, postfixLike({ recipient: 'q@example.org', to })));
    expect(end).not.toContain('forwarded');
  });

  it('is known by its token, whatever its host made of the address and of the case', async () => {
    const { id, path } = await pathsOf('moved on', ['alias@example.org']);
    const to = path().toUpperCase();
    await ended(relay, await report(relay, to, exchangeLike({ recipient: 'other@inner.example.net', to })));
    expect((await view(id)).recipients[0]).toMatchObject({
      state: 'delivered',
      late_bounce: { cause: 'mailbox_full', response: { code: 552, enhanced: '5.2.2' } },
    });
    expect((await suppressed('alias@example.org')).body).toMatchObject({ cause: 'mailbox_full' });
    expect((await suppressed('other@inner.example.net')).status).toBe(404);
  });

  it('of a path that several saw is noted and suppresses nobody', async () => {
    const { id, path } = await pathsOf('shared', ['s1@example.org', 's2@example.org'], 'a@shared.example');
    const to = path('s2@example.org');
    await ended(relay, await report(relay, to, postfixLike({ recipient: 'S2@example.org', to })));
    const { recipients } = await view(id);
    expect(recipients[0].late_bounce).toBeNull();
    expect(recipients[1].late_bounce).toMatchObject({ cause: 'user_unknown' });
    expect((await suppressed('s2@example.org')).status).toBe(404);
  });

  it('that is a delay, a success or an absence is counted and changes nothing', async () => {
    const { id, path } = await pathsOf('soft', ['soft@example.org']);
    const to = path();
    await ended(
      relay,
      await report(relay, to, postfixLike({ recipient: 'soft@example.org', to, action: 'delayed', status: '4.4.1' })),
    );
    await ended(
      relay,
      await report(relay, to, postfixLike({ recipient: 'soft@example.org', to, action: 'delivered', status: '2.0.0' })),
    );
    const away =
      'From: soft@example.org\r\nSubject: Out of office\r\nAuto-Submitted: auto-replied\r\n\r\nBack on Monday.\r\n';
    await ended(relay, await report(relay, to, away, 'soft@example.org'));
    expect(await eventTypes(relay, id)).not.toContain('OOB');
    expect((await suppressed('soft@example.org')).status).toBe(404);
    expect(await counted('auto_reply', 'ignored')).toBe(1);
  });

  it('that nobody can read is held and counted', async () => {
    const { path } = await pathsOf('odd', ['odd@example.org']);
    const reply = await report(relay, path(), 'Subject: hm\r\n\r\nWhat is this?\r\n', 'odd@example.org');
    const id = /queued as (\S+)/.exec(reply)?.[1] ?? '';
    await states(relay, id, 'held');
    expect(await counted('unknown', 'held')).toBe(1);
  });

  it('is noted so many times and no more', async () => {
    const { id, path } = await pathsOf('often', ['often@example.org']);
    const to = path();
    const replies: string[] = [];
    for (let time = 0; time < 21; time += 1) {
      replies.push(await report(relay, to, postfixLike({ recipient: 'often@example.org', to })));
    }
    for (const one of replies.slice(0, 20)) await ended(relay, one);
    expect(replies[20]).toMatch(/^450 4\.7\.1 /);
    expect((await eventTypes(relay, id)).filter((type) => type === 'OOB')).toHaveLength(20);
  });
});

describe('forgery', () => {
  it('is refused in the session: no token of ours', async () => {
    const { path } = await pathsOf('forged', ['forged@example.org']);
    const good = path();
    const last = good.charAt(46);
    const bad = `${good.slice(0, 46)}${last === 'a' ? 'e' : 'a'}@${DOMAIN}`;
    for (const to of [bad, `b-${'a'.repeat(45)}@${DOMAIN}`, `anyone@${DOMAIN}`]) {
      expect(await report(relay, to, postfixLike({ recipient: 'forged@example.org', to }))).toMatch(/^550 5\.1\.1 /);
    }
  });

  it('has no company: a report goes alone', async () => {
    const { path } = await pathsOf('alone', ['alone@example.org']);
    const dialog = await greet(relay.waypost.port('inbound'));
    await dialog.say('MAIL FROM:<>');
    expect(await dialog.say('RCPT TO:<b@example.net>')).toMatch(/^250/);
    expect(await dialog.say(`RCPT TO:<${path()}>`)).toMatch(/^452 4\.5\.3/);
    await dialog.say('RSET');
    await dialog.say('MAIL FROM:<>');
    expect(await dialog.say(`RCPT TO:<${path()}>`)).toMatch(/^250/);
    expect(await dialog.say('RCPT TO:<b@example.net>')).toMatch(/^452 4\.5\.3/);
    dialog.close();
  });

  it('without a token suppresses nobody, though it knows the message', async () => {
    const { id } = await pathsOf('victim', ['victim@example.org'], 'a@plain.example');
    const original = `X-Waypost-Id: ${id}\r\nSubject: victim\r\nTo: victim@example.org\r\n\r\nhello\r\n`;
    await ended(
      relay,
      await report(relay, 'fbl@example.com', complaint(original, ['Original-Rcpt-To: <victim@example.org>'])),
    );
    await ended(
      relay,
      await report(
        relay,
        'fbl@example.com',
        postfixLike({ recipient: 'victim@example.org', to: 'fbl@example.com', original }),
      ),
    );
    const { recipients, last_event } = await view(id);
    expect(recipients[0]).toMatchObject({ complaint: { proven: false }, late_bounce: { proven: false } });
    expect(last_event).toBe('delivered');
    expect((await suppressed('victim@example.org')).status).toBe(404);
  });

  it('with the token of one suppresses no other', async () => {
    const { path } = await pathsOf('two people', ['mallory@example.org', 'alice@example.org']);
    const to = path('mallory@example.org');
    await ended(relay, await report(relay, to, postfixLike({ recipient: 'alice@example.org', to })));
    expect((await suppressed('alice@example.org')).status).toBe(404);
  });

  it('about a message that never was is held', async () => {
    const original = 'X-Waypost-Id: 01890a5d-ac96-774b-bcce-b302099a8057\r\nTo: any@example.org\r\n\r\nx\r\n';
    const reply = await report(relay, 'fbl@example.com', complaint(original));
    await states(relay, /queued as (\S+)/.exec(reply)?.[1] ?? '', 'held');
  });
});

describe('a complaint', () => {
  it('whose sender hides the recipient finds him by what it returns, and is for his tenant alone', async () => {
    const { id, found } = await pathsOf('newsletter', ['sub@example.org'], 'a@plain.example', 'blue');
    const original = found[0]?.body.toString().replaceAll('sub@example.org', 'redacted@isp.example') ?? '';
    await ended(relay, await report(relay, 'fbl@example.com', complaint(original), 'fbl@isp.example'));
    const { recipients, last_event } = await view(id);
    expect(recipients[0]).toMatchObject({ state: 'delivered', complaint: { type: 'abuse', proven: true } });
    expect(last_event).toBe('complained');
    expect(await eventTypes(relay, id)).toContain('Feedback');
    // Everybody else may go on to write to him.
    expect((await suppressed('sub@example.org')).status).toBe(404);
    const blocked = await submit(relay, 'again', { to: 'sub@example.org', listener: 'blue' });
    await states(relay, blocked, 'suppressed');
  });
});

describe.skipIf(!fixtures('sisimai-bounces') || !fixtures('reports-stalwart'))(
  'reports of many hosts (needs ../shared/fixtures/sisimai-bounces and reports-stalwart)',
  () => {
    const NAMES = [
      ...['lhost-postfix-01', 'lhost-postfix-05', 'lhost-exchange2007-01', 'lhost-sendmail-01', 'lhost-exim-01'],
      ...['lhost-qmail-01', 'lhost-gmail-01', 'rhost-google-01', 'rhost-microsoft-01', 'lhost-domino-01'],
    ];
    it('about our own messages are noted by their token', async () => {
      const folder = join(fixtures('sisimai-bounces') ?? '', 'maildir/bsd');
      const there = readdirSync(folder);
      const used = NAMES.filter((name) => there.includes(`${name}.eml`));
      expect(used.length).toBeGreaterThanOrEqual(6);
      for (const name of used) {
        const { id, path } = await pathsOf(`fixture ${name}`, [`${name}@example.org`]);
        const body = readFileSync(join(folder, `${name}.eml`))
          .toString('latin1')
          .replace(/\r?\n/g, '\r\n');
        await ended(relay, await report(relay, path(), body));
        const { recipients } = await view(id);
        expect(recipients[0], name).toMatchObject({ state: 'delivered', late_bounce: { cause: expect.any(String) } });
      }
    });

    it('that are complaints are noted too', async () => {
      const folder = join(fixtures('reports-stalwart') ?? '', 'arf');
      for (const name of readdirSync(folder).filter((one) => one.endsWith('.eml'))) {
        const { id, path } = await pathsOf(`arf ${name}`, [`arf-${name}@example.org`]);
        const body = readFileSync(join(folder, name)).toString('latin1').replace(/\r?\n/g, '\r\n');
        await ended(relay, await report(relay, path(), body));
        const { type } = (await view(id)).recipients[0].complaint;
        const stopped = (await suppressed(`arf-${name}@example.org`)).status === 200;
        // What a program says of a failed signature is no complaint of a person.
        expect([name, stopped]).toEqual([name, type !== 'auth-failure']);
      }
    });
  },
);
