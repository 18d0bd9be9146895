import { once } from 'node:events';
import { connect } from 'node:net';
import { type SmtpDialog, TEST_KEY, waitFor } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arrival, greet, type Relay, sendMessage, startRelay } from '../../support/relay.js';

const LIMITED = 'wp_limited_0123456789abcdef0123456789abcdef';

let relay: Relay;
const port = (name: string) => relay.waypost.port(name);
beforeAll(async () => {
  relay = await startRelay({
    listeners: [
      { name: 'trusted', kind: 'relay' },
      { name: 'old', kind: 'submission', tls: 'none', auth_without_tls: true },
      { name: 'inbound', kind: 'mx', domains: ['example.org'], allow: [], banner_delay: '60s' },
      { name: 'forwarded', kind: 'relay', xclient: ['127.0.0.1'], allow: ['198.51.100.0/24'] },
      { name: 'implicit', kind: 'relay', tls: 'implicit' },
    ],
    config: {
      limits: { connections_per_address: 4, header_size: 262_144 },
      keys: [
        { id: 'test', secret: TEST_KEY, scopes: ['send', 'read', 'admin'] },
        { id: 'limited', secret: LIMITED, scopes: ['send'], domains: ['example.com'] },
      ],
    },
  });
});
afterAll(() => relay?.stop());

async function loggedIn(secret: string): Promise<SmtpDialog> {
  const dialog = await greet(port('old'));
  expect(await dialog.say(`AUTH PLAIN ${Buffer.from(`\0any\0${secret}`).toString('base64')}`)).toMatch(/^235/);
  return dialog;
}

describe('sessions', () => {
  it('that end before their banner are as if they had not been', async () => {
    const socket = connect({ port: port('inbound'), host: '127.0.0.1' });
    await once(socket, 'connect');
    socket.end();
    await once(socket, 'close');
    const dialog = await greet(port('trusted'));
    expect(await dialog.say('NOOP')).toMatch(/^250/);
    dialog.close();
  });

  it('are counted under the address that they came from, whatever XCLIENT says later', async () => {
    for (let round = 0; round < 6; round += 1) {
      const dialog = await greet(port('forwarded'));
      expect(await dialog.say(`XCLIENT ADDR=198.51.100.${round + 1}`)).toMatch(/^220/);
      expect(await dialog.say('QUIT')).toMatch(/^221/);
      await dialog.closed();
      await waitFor(
        'the session to be counted out',
        async () => (await relay.waypost.metric('waypost_smtp_sessions')) === 0,
      );
    }
  });

  it('are limited by address while they are still to shake hands', async () => {
    const sockets = Array.from({ length: 5 }, () => connect({ port: port('implicit'), host: '127.0.0.1' }));
    const ended = Promise.race(sockets.map((socket) => once(socket.on('error', () => undefined).resume(), 'close')));
    await ended;
    for (const socket of sockets) socket.destroy();
  });
});

describe('a long header section', () => {
  it('is seen whole: no blind copy of it travels, and every hop is counted', async () => {
    const dialog = await loggedIn(TEST_KEY);
    const long = Array.from({ length: 1500 }, (_, at) => `X-Long-${at}: ${'x'.repeat(60)}\r\n`).join('');
    const message = `Subject: long header\r\n${long}Bcc: secret@example.org\r\n\r\nbody\r\n`;
    expect(message.length).toBeGreaterThan(65_536);
    expect(await sendMessage(dialog, message)).toMatch(/^250/);
    const { body } = await arrival(relay.peer, 'long header');
    const text = body.toString();
    expect(text).not.toMatch(/^Bcc:/im);
    expect(text).toMatch(/^Message-ID:/im);
    expect(text).toContain('X-Long-1499');
    const hops = Array.from({ length: 60 }, (_, at) => `Received: from h${at} by h${at + 1}; now\r\n`).join('');
    expect(await sendMessage(dialog, `Subject: hops\r\n${long}${hops}\r\nx\r\n`)).toMatch(/^554 5\.4\.6/);
    expect(await sendMessage(dialog, `Subject: vast\r\n${long}${long}${long}\r\nx\r\n`)).toMatch(/^552 5\.3\.4/);
    dialog.close();
  });
});

describe('addresses', () => {
  it('keep their A-labels, which need no SMTPUTF8', async () => {
    const dialog = await greet(port('trusted'));
    const to = 'someone@xn--bcher-kva.example';
    expect(await sendMessage(dialog, 'Subject: a-label\r\n\r\nx\r\n', 'me@xn--mnchen-3ya.example', to)).toMatch(/^250/);
    const { mail, rcpts } = await arrival(relay.peer, 'a-label');
    expect(mail).toContain('<me@xn--mnchen-3ya.example>');
    expect(rcpts.join()).toContain(`<${to}>`);
    dialog.close();
  });

  it('of the postmaster need no domain', async () => {
    const dialog = await greet(port('trusted'));
    expect(await sendMessage(dialog, 'Subject: for postmaster\r\n\r\nx\r\n', 'a@example.com', 'Postmaster')).toMatch(
      /^250/,
    );
    expect((await arrival(relay.peer, 'for postmaster')).rcpts.join()).toContain('<postmaster@relay.test>');
    dialog.close();
  });
});

describe('MAIL', () => {
  it('that was refused leaves nothing of its parameters', async () => {
    const dialog = await greet(port('trusted'));
    expect(await dialog.say('MAIL FROM:<bad@@example.com> BODY=8BITMIME')).toMatch(/^5/);
    expect(await dialog.say('MAIL FROM:<é@example.com> RET=HDRS ENVID=first')).toMatch(/^55/);
    expect(await sendMessage(dialog, 'Subject: second mail\r\n\r\nx\r\n')).toMatch(/^250/);
    expect((await arrival(relay.peer, 'second mail')).mail).not.toMatch(/ENVID|RET/);
    dialog.close();
  });
});

describe('a key for one domain', () => {
  it('shows no other as author', async () => {
    const dialog = await loggedIn(LIMITED);
    const from = (value: string, subject: string) => `From: ${value}\r\nSubject: ${subject}\r\n\r\nx\r\n`;
    expect(await sendMessage(dialog, from('boss@example.net', 'forged'))).toMatch(
      /^550 5\.7\.1 From header rejected.*boss@example\.net/,
    );
    expect(await sendMessage(dialog, from('a@example.com\r\nFrom: b@example.net', 'twice'))).toMatch(/^550 5\.7\.1/);
    expect(await sendMessage(dialog, from('Me <a@example.com>', 'own'))).toMatch(/^250/);
    await arrival(relay.peer, 'own');
    dialog.close();
  });
});
