import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { missing, SmtpDialog, waitFor } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { identity } from '../../support/identity.js';
import { arrival, greet, type Relay, sendMessage, startRelay, toData } from '../../support/relay.js';

const lacking = missing('openssl');

/** @returns the name in the certificate that a server shows for a name. */
async function shown(port: number, servername: string): Promise<string> {
  const socket: TLSSocket = connect({ port, host: '127.0.0.1', servername, rejectUnauthorized: false });
  await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
  const { subject } = socket.getPeerCertificate();
  socket.destroy();
  return String(subject.CN);
}

describe.skipIf(lacking.length > 0)(`certificates (needs openssl)`, () => {
  let relay: Relay;
  let dir: string;
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'waypost-certs-'));
    const [first, second] = [await identity(dir, 'first', 'relay.test'), await identity(dir, 'second', 'other.test')];
    relay = await startRelay({
      listeners: [{ name: 'implicit', kind: 'submission', tls: 'implicit' }],
      config: { tls: { identities: [first, { ...second, servername: 'other.test' }] } },
    });
  });
  afterAll(async () => {
    await relay?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  it('chooses by SNI, and shows the first to all others', async () => {
    const port = relay.waypost.port('implicit');
    expect(await shown(port, 'other.test')).toBe('other.test');
    expect(await shown(port, 'relay.test')).toBe('relay.test');
    expect(await shown(port, 'unknown.test')).toBe('relay.test');
  });

  it('takes replaced files without a restart, keeps the old ones while the new are broken', async () => {
    const port = relay.waypost.port('implicit');
    const { cert, key } = await identity(dir, 'new', 'renewed.test');
    renameSync(key, join(dir, 'first.key'));
    renameSync(cert, join(dir, 'first.crt'));
    await waitFor('the new certificate', async () => (await shown(port, 'relay.test')) === 'renewed.test');
    expect(readFileSync(join(dir, 'first.crt'), 'utf8')).toContain('BEGIN CERTIFICATE');
  });
});

describe('PROXY protocol and XCLIENT', () => {
  let relay: Relay;
  beforeAll(async () => {
    relay = await startRelay({
      listeners: [
        { name: 'proxied', proxy_protocol: ['127.0.0.1'], allow: ['192.0.2.0/24', '2001:db8::/32'] },
        { name: 'xclient', xclient: ['127.0.0.1'], allow: ['198.51.100.0/24'] },
        { name: 'plain', allow: ['127.0.0.0/8', '192.0.2.0/24'] },
      ],
    });
  });
  afterAll(() => relay?.stop());
  const port = (name: string) => relay.waypost.port(name);

  const version2 = (family: number, addresses: Buffer) => {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(addresses.length);
    return Buffer.concat([Buffer.from('0d0a0d0a000d0a515549540a21', 'hex'), Buffer.from([family]), length, addresses]);
  };
  const four = Buffer.from([192, 0, 2, 7, 127, 0, 0, 1, 0x30, 0x39, 0, 25]);
  const six = Buffer.from('20010db8000000000000000000000007' + '00000000000000000000000000000001' + '30390019', 'hex');

  it.each([
    ['version 1', 'PROXY TCP4 192.0.2.7 127.0.0.1 12345 25\r\n', '192.0.2.7'],
    ['version 1 over IPv6', 'PROXY TCP6 2001:db8::7 ::1 12345 25\r\n', '2001:db8::7'],
    ['version 2', version2(0x11, four), '192.0.2.7'],
    ['version 2 over IPv6', version2(0x21, six), '2001:db8::7'],
  ])('takes the address of a %s header', async (name, header, address) => {
    const dialog = await SmtpDialog.open(port('proxied'));
    dialog.write(header);
    expect(await dialog.reply()).toMatch(/^220/);
    await dialog.say('EHLO client.test');
    expect(await sendMessage(dialog, `Subject: ${name}\r\n\r\nx\r\n`)).toMatch(/^250/);
    expect((await arrival(relay.peer, name)).body.toString()).toContain(address);
    dialog.close();
  });

  it('applies the networks to the address behind the proxy', async () => {
    const dialog = await SmtpDialog.open(port('proxied'));
    dialog.write('PROXY TCP4 203.0.113.9 127.0.0.1 12345 25\r\n');
    await dialog.reply();
    await dialog.say('EHLO client.test');
    expect(await dialog.say('MAIL FROM:<a@example.com>')).toMatch(/^554 5\.7\.1/);
    dialog.close();
  });

  it.each([
    ['no header', 'EHLO client.test\r\n'],
    ['a broken header', 'PROXY TCP4 192.0.2.7 nonsense\r\n'],
    ['a header that is too long', `PROXY TCP4 ${'1'.repeat(200)}\r\n`],
  ])('ends a connection with %s where one is due', async (_, data) => {
    const dialog = await SmtpDialog.open(port('proxied'));
    dialog.write(data);
    await dialog.closed();
  });

  it('takes no header where none is due: it is an unknown command', async () => {
    const dialog = await SmtpDialog.open(port('plain'));
    await dialog.reply();
    expect(await dialog.say('PROXY TCP4 192.0.2.7 127.0.0.1 12345 25')).toMatch(/^5\d\d/);
    dialog.close();
  });

  it('takes XCLIENT from its networks, and the allowed networks apply to what it says', async () => {
    const dialog = await greet(port('xclient'));
    expect(await dialog.say('XCLIENT ADDR=198.51.100.7 NAME=far.test')).toMatch(/^220/);
    await dialog.say('EHLO far.test');
    expect(await sendMessage(dialog, 'Subject: xclient\r\n\r\nx\r\n')).toMatch(/^250/);
    expect((await arrival(relay.peer, 'xclient')).body.toString()).toContain('[198.51.100.7]');
    dialog.close();
  });

  it('refuses XCLIENT from elsewhere', async () => {
    const outside = await greet(port('xclient'), { localAddress: '127.0.0.2' });
    expect(await outside.say('XCLIENT ADDR=198.51.100.7')).toMatch(/^5\d\d/);
    outside.close();
    const none = await greet(port('plain'));
    expect(await none.say('XCLIENT ADDR=192.0.2.7')).toMatch(/^5\d\d/);
    none.close();
  });
});

describe('limits', () => {
  let relay: Relay;
  beforeAll(async () => {
    relay = await startRelay({
      config: { limits: { connections_per_address: 3, idle_timeout: '1s', transaction_timeout: '1500ms' } },
    });
  });
  afterAll(() => relay?.stop());
  const port = () => relay.waypost.port('trusted');

  it('turns away more connections from one address than it may have, and only that address', async () => {
    const three = await Promise.all([greet(port()), greet(port()), greet(port())]);
    const fourth = await SmtpDialog.open(port());
    expect(await fourth.reply()).toMatch(/^421 4\.7\.0/);
    const other = await SmtpDialog.open(port(), '127.0.0.9');
    expect(await other.reply()).toMatch(/^220/);
    for (const dialog of [...three, fourth, other]) dialog.close();
    await waitFor('room again', async () => {
      const dialog = await SmtpDialog.open(port());
      const reply = await dialog.reply();
      dialog.close();
      return reply.startsWith('220');
    });
  });

  it('ends a silent session', async () => {
    const dialog = await greet(port());
    expect(await dialog.reply()).toMatch(/^421 4\.4\.2/);
    await dialog.closed();
  });

  it('ends a transaction that drips, and keeps nothing of it', async () => {
    const dialog = await greet(port());
    await toData(dialog);
    dialog.write('Subject: slow\r\n\r\n');
    const drip = setInterval(() => dialog.write('x'), 100);
    const reply = await dialog.reply();
    clearInterval(drip);
    expect(reply).toMatch(/^421 4\.4\.2/);
    await dialog.closed();
    const next = await greet(port());
    await sendMessage(next, 'Subject: swift\r\n\r\nx\r\n');
    await arrival(relay.peer, 'swift');
    expect(relay.peer.messages.some(({ body }) => body.includes('Subject: slow'))).toBe(false);
    next.close();
  });
});
