import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arrival, greet, type Relay, sendMessage, startRelay, toData } from '../../support/relay.js';

let relay: Relay;
beforeAll(async () => {
  relay = await startRelay({
    listeners: [
      { name: 'strict', tls: 'starttls' },
      { name: 'lenient', bare_newlines: 'normalise' },
    ],
  });
});
afterAll(() => relay?.stop());

/** What some server, somewhere, takes for the end of a message (the smuggling attacks of 2023). */
const FALSE_ENDS: [string, string][] = [
  ['LF.LF', '\n.\n'],
  ['LF.CRLF', '\n.\r\n'],
  ['CRLF.LF', '\r\n.\n'],
  ['CRLF.CR', '\r\n.\r'],
  ['CR.CR', '\r.\r'],
  ['CR.CRLF', '\r.\r\n'],
  ['CR.LF', '\r.\n'],
  ['LF.CR', '\n.\r'],
  ['CRLF.NUL CRLF', '\r\n.\0\r\n'],
  ['CRCRLF.CRCRLF', '\r\r\n.\r\r\n'],
];
const SMUGGLED =
  'MAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n';

describe('only CRLF.CRLF ends a message', () => {
  it.each(FALSE_ENDS)('%s ends none where line ends are strict', async (name, end) => {
    const dialog = await greet(relay.waypost.port('strict'));
    await toData(dialog);
    dialog.write(`Subject: outer ${name}\r\n\r\nbody${end}${SMUGGLED}`);
    const reply = await dialog.reply();
    // NUL is an octet like any other; all others hold a bare CR or LF.
    expect(reply).toMatch(name.includes('NUL') ? /^250/ : /^550 5\.5\.2/);
    // What follows the true end is again commands, and nothing was taken for one inside.
    expect(await dialog.say('NOOP')).toMatch(/^250/);
    dialog.close();
    const probe = await greet(relay.waypost.port('strict'));
    await sendMessage(probe, `Subject: probe ${name}\r\n\r\nx\r\n`);
    await arrival(relay.peer, `probe ${name}`);
    const outer = relay.peer.messages.filter(({ body }) => body.includes(`Subject: outer ${name}\r\n`));
    expect(outer).toHaveLength(name.includes('NUL') ? 1 : 0);
    expect(relay.peer.messages.map(({ mail }) => mail).join()).not.toContain('evil@');
    probe.close();
  });

  it.each(FALSE_ENDS)('%s passes nothing on to be smuggled where line ends are normalised', async (name, end) => {
    const dialog = await greet(relay.waypost.port('lenient'));
    await toData(dialog);
    dialog.write(`Subject: lenient ${name}\r\n\r\nbody${end}${SMUGGLED}`);
    expect(await dialog.reply()).toMatch(/^250/);
    const message = await arrival(relay.peer, `lenient ${name}`);
    expect(message.mail).not.toContain('evil@');
    expect(message.body.toString('latin1')).toContain('Subject: smuggled');
    expect(message.body.toString('latin1')).not.toMatch(/\r(?!\n)|(?<!\r)\n/);
    dialog.close();
  });

  it('a bare LF across two packets is found', async () => {
    const dialog = await greet(relay.waypost.port('strict'));
    await toData(dialog);
    dialog.write('Subject: split\r\n\r\nline');
    await new Promise((resolve) => setImmediate(resolve));
    dialog.write('\nnext\r\n.\r\n');
    expect(await dialog.reply()).toMatch(/^550 5\.5\.2/);
    dialog.close();
  });
});

describe('commands', () => {
  it('a command line that ends in a bare LF ends the session', async () => {
    const dialog = await greet(relay.waypost.port('strict'));
    dialog.write('NOOP\nNOOP\r\n');
    expect(await dialog.reply()).toMatch(/^521 5\.5\.2/);
    await dialog.closed();
  });

  it('what came before TLS in the packet of STARTTLS is dropped', async () => {
    const dialog = await greet(relay.waypost.port('strict'));
    dialog.write('STARTTLS\r\nMAIL FROM:<injected@example.com>\r\n');
    expect(await dialog.reply()).toMatch(/^220/);
    await dialog.upgrade();
    await dialog.say('EHLO client.test');
    // Had the injected MAIL been taken, this would be the second one.
    expect(await dialog.say('MAIL FROM:<a@example.com>')).toMatch(/^250/);
    dialog.close();
  });
});
