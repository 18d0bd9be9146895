import { SmtpDialog, TEST_KEY } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arrival, greet, type Relay, sendMessage, startRelay } from '../../support/relay.js';

const LIMITED = 'wp_limited_0123456789abcdef0123456789abcdef';
const READER = 'wp_reader_0123456789abcdef0123456789abcdef';

let relay: Relay;
const port = (name: string) => relay.waypost.port(name);
beforeAll(async () => {
  relay = await startRelay({
    listeners: [
      { name: 'submission', kind: 'submission', tls: 'starttls' },
      { name: 'submissions', kind: 'submission', tls: 'implicit' },
      { name: 'old', kind: 'submission', tls: 'none', auth_without_tls: true },
      { name: 'trusted', kind: 'relay', allow: ['127.0.0.1'] },
      { name: 'inbound', kind: 'mx', domains: ['example.com', '*.example.com'], allow: [], banner_delay: '300ms' },
    ],
    config: {
      keys: [
        { id: 'test', secret: TEST_KEY, scopes: ['send', 'read', 'admin'] },
        { id: 'limited', secret: LIMITED, scopes: ['send'], domains: ['example.com'] },
        { id: 'reader', secret: READER, scopes: ['read'] },
      ],
    },
  });
});
afterAll(() => relay?.stop());

const plain = (secret: string, user = 'anyone') =>
  `AUTH PLAIN ${Buffer.from(`\0${user}\0${secret}`).toString('base64')}`;
const base64 = (text: string) => Buffer.from(text).toString('base64');

async function underTls(): Promise<SmtpDialog> {
  const dialog = await greet(port('submission'));
  await dialog.say('STARTTLS');
  await dialog.upgrade();
  await dialog.say('EHLO client.test');
  return dialog;
}

describe('submission', () => {
  it('offers AUTH under TLS only, and refuses it in the clear', async () => {
    const dialog = await greet(port('submission'));
    expect(await dialog.say('EHLO client.test')).not.toMatch(/AUTH/);
    expect(await dialog.say(plain(TEST_KEY))).toMatch(/^5(?:38|02|30) /);
    dialog.close();
    const secure = await underTls();
    expect(await secure.say('EHLO client.test')).toMatch(/250[- ]AUTH PLAIN LOGIN/);
    secure.close();
  });

  it('asks for AUTH before MAIL', async () => {
    const dialog = await underTls();
    expect(await dialog.say('MAIL FROM:<a@example.com>')).toMatch(/^530 5\.7\.0/);
    dialog.close();
  });

  it('takes PLAIN at once or in two steps, and LOGIN in three', async () => {
    const one = await underTls();
    expect(await one.say(plain(TEST_KEY))).toMatch(/^235 2\.7\.0/);
    one.close();
    const two = await underTls();
    expect(await two.say('AUTH PLAIN')).toMatch(/^334/);
    expect(await two.say(base64(`\0me\0${TEST_KEY}`))).toMatch(/^235/);
    two.close();
    const three = await underTls();
    expect(await three.say('AUTH LOGIN')).toMatch(/^334/);
    expect(await three.say(base64('me'))).toMatch(/^334/);
    expect(await three.say(base64(TEST_KEY))).toMatch(/^235/);
    three.close();
  });

  it('refuses a wrong secret, one without the scope, and gives up after the third', async () => {
    const dialog = await underTls();
    expect(await dialog.say(plain('wp_wrong'))).toMatch(/^535 5\.7\.8/);
    expect(await dialog.say(plain(READER))).toMatch(/^535 5\.7\.8/);
    expect(await dialog.say(plain(''))).toMatch(/^(?:421|501|535)/);
    dialog.close();
    // No secret is ever logged.
    expect(relay.waypost.output).not.toContain('wp_wrong');
    expect(relay.waypost.output).not.toContain(READER);
  });

  it('lets a credential send only as its own domains', async () => {
    const dialog = await underTls();
    await dialog.say(plain(LIMITED));
    expect(await dialog.say('MAIL FROM:<a@example.org>')).toMatch(/^553 5\.7\.1/);
    expect(await dialog.say('MAIL FROM:<a@sub.example.com>')).toMatch(/^553 5\.7\.1/);
    expect(await dialog.say('MAIL FROM:<a@example.com>')).toMatch(/^250/);
    dialog.close();
  });

  it('adds Date and Message-ID where they are missing, and takes Bcc out', async () => {
    const dialog = await SmtpDialog.openTls(port('submissions'));
    await dialog.reply();
    await dialog.say('EHLO client.test');
    await dialog.say(plain(TEST_KEY));
    expect(
      await sendMessage(
        dialog,
        'Subject: bare\r\nBcc: hidden@example.org,\r\n more@example.org\r\nTo: b@example.org\r\n\r\nx\r\n',
      ),
    ).toMatch(/^250/);
    const bare = (await arrival(relay.peer, 'bare')).body.toString();
    expect(bare).toMatch(/^Date: \w{3}, \d\d? \w{3} \d{4} /m);
    expect(bare).toMatch(/^Message-ID: <[\w-]+@relay\.test>\r$/m);
    expect(bare).not.toMatch(/hidden@|more@|^Bcc/im);
    expect(bare).toMatch(/with ESMTPSA/);
    await sendMessage(
      dialog,
      'Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <own@example.com>\r\nSubject: full\r\n\r\nx\r\n',
    );
    const full = (await arrival(relay.peer, 'full')).body.toString();
    expect(full.match(/^Date:/gm)).toHaveLength(1);
    expect(full.match(/^Message-ID:/gm)).toHaveLength(1);
    dialog.close();
  });

  it('lets an old machine log in without TLS only where the file says so', async () => {
    const dialog = await greet(port('old'));
    expect(await dialog.say(plain(TEST_KEY))).toMatch(/^235/);
    dialog.close();
  });
});

describe('relay', () => {
  it('takes mail from its networks only, and leaves the header section alone', async () => {
    const dialog = await greet(port('trusted'));
    expect(await sendMessage(dialog, 'Subject: relayed\r\nBcc: kept@example.org\r\n\r\nx\r\n')).toMatch(/^250/);
    const message = (await arrival(relay.peer, 'relayed')).body.toString();
    expect(message).toMatch(/^Bcc: kept@example\.org\r$/m);
    expect(message).not.toMatch(/^Date:|^Message-ID:/m);
    dialog.close();
  });

  it('refuses an address outside of them', async () => {
    const dialog = await greet(port('trusted'), { localAddress: '127.0.0.2' });
    expect(await dialog.say('MAIL FROM:<a@example.com>')).toMatch(/^554 5\.7\.1/);
    dialog.close();
  });

  it('has no AUTH', async () => {
    const dialog = await greet(port('trusted'));
    expect(await dialog.say(plain(TEST_KEY))).toMatch(/^50[02] /);
    dialog.close();
  });
});

describe('mx', () => {
  it.each([
    ['b@example.com', /^250/],
    ['b@sub.example.com', /^250/],
    ['B@EXAMPLE.COM', /^250/],
    ['b@example.org', /^550 5\.7\.1/],
    ['b@notexample.com', /^550 5\.7\.1/],
    ['b@example.com.evil.org', /^550 5\.7\.1/],
    ['b%example.org@evil.org', /^550 5\.7\.1/],
    ['"b@example.com"@evil.org', /^5(?:50|01) 5\.\d\.\d/],
    ['@example.com:b@evil.org', /^5(?:50|01) 5\.\d\.\d/],
    ['b@[127.0.0.1]', /^550 5\.7\.1/],
  ])('answers RCPT TO:<%s>', async (address, expected) => {
    const dialog = await greet(port('inbound'));
    await dialog.say('MAIL FROM:<a@anywhere.test>');
    expect(await dialog.say(`RCPT TO:<${address}>`)).toMatch(expected);
    dialog.close();
  });

  it('turns away who talks before the banner', async () => {
    const dialog = await SmtpDialog.open(port('inbound'));
    dialog.write('EHLO early.test\r\n');
    expect(await dialog.reply()).toMatch(/^(?:421|554) /);
    await dialog.closed();
  });
});
