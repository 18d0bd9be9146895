import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { missing, type PeerMessage, run, waitFor } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dkimKey, newKey, recordsOf } from '../../support/dkim-keys.js';
import { withMailauth } from '../../support/dkim-peers.js';
import { MailAuthority, type Person } from '../../support/openssl.js';
import { greet, type Relay, startRelay } from '../../support/relay.js';
import { states } from '../../support/track.js';

const MAIN = resolve(import.meta.dirname, '../../../services/waypost/dist/main.js');
const absent = missing('openssl');
const DKIM = newKey('ed25519');
const DKIM_RECORDS = recordsOf(dkimKey(DKIM, 'e', 'example.com'));

let ca: MailAuthority;
let people: Record<'alice' | 'bob' | 'carol' | 'dora', Person>;
let relay: Relay;
beforeAll(async () => {
  if (absent.length > 0) return;
  ca = await MailAuthority.create();
  const [alice, bob, carol, dora] = [
    await ca.person('alice@example.com'),
    await ca.person('bob@example.org'),
    await ca.person('carol@example.org', 'ec'),
    await ca.person('dora@opaque.test', 'ec'),
  ];
  people = { alice, bob, carol, dora };
  mkdirSync(ca.path('known'));
  for (const { cert, email } of [bob, carol]) writeFileSync(join(ca.path('known'), `${email}.pem`), readFileSync(cert));
  const p12 = ca.path('dora.p12');
  await ca.openssl('pkcs12', '-export', '-in', dora.cert, '-inkey', dora.key, '-passout', 'pass:dora', '-out', p12);
  relay = await startRelay({
    listeners: [
      { name: 'trusted' },
      { name: 'inbound', kind: 'mx', allow: [], domains: ['example.com', 'opaque.test'], banner_delay: '0ms' },
    ],
    config: {
      dkim: { domains: [{ match: 'example.com', keys: [{ selector: 'e', key: DKIM }] }] },
      smime: {
        identities: [
          { match: 'alice@example.com', certificate_file: alice.cert, key_file: alice.key },
          { match: 'dora@opaque.test', pkcs12: p12, passphrase: 'dora', sign: 'opaque' },
        ],
        encrypt: [{ match: 'must.test', missing: 'reject' }, { match: 'example.org' }],
        certificates: [ca.path('known')],
        anchors_file: ca.anchor,
      },
    },
  });
}, 60_000);
afterAll(async () => {
  await relay?.stop();
  ca?.remove();
});

interface Mail {
  readonly subject: string;
  readonly from?: string;
  readonly to?: readonly string[];
  readonly body?: string;
  readonly listener?: string;
}

const CONTENT = 'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n';

/** Sends a message whose Content fields stand at the beginning of `body`. @returns its id. */
async function send({
  subject,
  from = 'alice@example.com',
  to = ['x@plain.test'],
  body,
  listener,
}: Mail): Promise<string> {
  const dialog = await greet(relay.waypost.port(listener ?? 'trusted'));
  await dialog.say(`MAIL FROM:<${from}>`);
  for (const one of to) await dialog.say(`RCPT TO:<${one}>`);
  await dialog.say('DATA');
  // Octets as text, as openssl's files are read.
  const content = body ?? PLAIN.toString('latin1');
  dialog.write(Buffer.from(`From: <${from}>\r\nSubject: ${subject}\r\nMIME-Version: 1.0\r\n${content}.\r\n`, 'latin1'));
  const reply = await dialog.reply();
  dialog.close();
  return /queued as ([0-9a-f-]{36})/.exec(reply)?.[1] ?? reply;
}

const arrived = (subject: string, to: string): Promise<PeerMessage> =>
  waitFor(`"${subject}" for ${to}`, () =>
    relay.peer.messages.find(
      ({ body, rcpts }) =>
        body.includes(`\r\nSubject: ${subject}\r\n`) && rcpts.some((rcpt) => rcpt.includes(`<${to}>`)),
    ),
  );

async function opened(message: Buffer, { cert, key }: Person): Promise<Buffer> {
  const file = ca.write('received.eml', message);
  await ca.openssl('cms', '-decrypt', '-in', file, '-recip', cert, '-inkey', key, '-out', ca.path('opened'));
  return readFileSync(ca.path('opened'));
}

async function verified(message: Buffer): Promise<Buffer> {
  const file = ca.write('received.eml', message);
  await ca.openssl('cms', '-verify', '-in', file, '-CAfile', ca.anchor, '-out', ca.path('verified'));
  return readFileSync(ca.path('verified'));
}

const PLAIN = Buffer.from(`${CONTENT}\r\nGr\u00fc\u00dfe  \r\n`);

describe.skipIf(absent.length > 0)(`mail of our own${absent.length > 0 ? ' (skipped: no openssl)' : ''}`, () => {
  it('is signed for its author, and by DKIM over that', async () => {
    await send({ subject: 'signed' });
    const { body } = await arrived('signed', 'x@plain.test');
    expect((await verified(body)).equals(PLAIN)).toBe(true);
    expect(await withMailauth([body], DKIM_RECORDS)).toEqual([['pass']]);
  });

  it('is signed around its text where that is asked for, with the key of a PKCS#12 file', async () => {
    await send({ subject: 'opaque', from: 'dora@opaque.test' });
    const { body } = await arrived('opaque', 'x@plain.test');
    expect(body.toString()).toMatch(/smime-type=signed-data/);
    expect((await verified(body)).equals(PLAIN)).toBe(true);
  });

  it('is left alone where nobody has a key for its author', async () => {
    await send({ subject: 'alone', from: 'other@example.com' });
    const { body } = await arrived('alone', 'x@plain.test');
    expect(body.subarray(-PLAIN.length).equals(PLAIN)).toBe(true);
  });

  it('is encrypted for each whose certificate is known, and signed for the others', async () => {
    const to = ['bob@example.org', 'carol@example.org', 'unknown@example.org', 'x@plain.test'];
    const id = await send({ subject: 'mixed', to });
    await states(relay, id, 'delivered', 'delivered', 'delivered', 'delivered');
    for (const person of [people.bob, people.carol]) {
      const { body, rcpts } = await arrived('mixed', person.email);
      expect(rcpts.length).toBe(1);
      expect(body.toString()).not.toMatch(/Gr\u00fc\u00dfe/);
      expect((await verified(await opened(body, person))).equals(PLAIN)).toBe(true);
      expect(await withMailauth([body], DKIM_RECORDS)).toEqual([['pass']]);
    }
    const other = await arrived('mixed', 'x@plain.test');
    expect(other.rcpts.join()).not.toMatch(/bob|carol/);
    expect((await verified(other.body)).equals(PLAIN)).toBe(true);
    expect((await verified((await arrived('mixed', 'unknown@example.org')).body)).equals(PLAIN)).toBe(true);
  });

  it('is refused for those who must be written to encrypted and have no certificate', async () => {
    const id = await send({ subject: 'must', to: ['x@must.test', 'bob@example.org'] });
    const [refused] = await states(relay, id, 'rejected', 'delivered');
    expect(refused?.last_response).toMatchObject({ code: 550, enhanced: '5.7.5' });
    expect(relay.peer.messages.some(({ rcpts }) => rcpts.some((rcpt) => rcpt.includes('must.test')))).toBe(false);
  });

  it('goes on as it is where its author signed or encrypted it', async () => {
    const file = ca.write('plain', PLAIN);
    await ca.openssl(
      'cms',
      '-encrypt',
      '-binary',
      '-in',
      file,
      '-out',
      ca.path('own.eml'),
      '-aes256',
      '-recip',
      people.bob.cert,
    );
    const own = readFileSync(ca.path('own.eml'), 'latin1')
      .replace(/^MIME-Version.*\n/m, '')
      .replace(/\r?\n/g, '\r\n');
    await send({ subject: 'own', to: ['carol@example.org'], body: own });
    const { body } = await arrived('own', 'carol@example.org');
    expect((await opened(body, people.bob)).equals(PLAIN)).toBe(true);
  });
});

describe.skipIf(absent.length > 0)('mail from outside', () => {
  const made = async (name: string, ...args: string[]) => {
    const file = ca.write('inner', PLAIN);
    await ca.openssl('cms', ...args.slice(0, 1), '-binary', '-in', file, '-out', ca.path(name), ...args.slice(1));
    return readFileSync(ca.path(name), 'latin1')
      .replace(/^MIME-Version.*\n/m, '')
      .replace(/\r?\n/g, '\r\n');
  };
  const inbound = (subject: string, body: string, from = 'bob@example.org') =>
    send({ subject, from, to: ['alice@example.com'], listener: 'inbound', body });

  it('is noted where its signature is good, and where it is not', async () => {
    const { cert, key } = people.bob;
    const body = await made('signed.eml', '-sign', '-signer', cert, '-inkey', key);
    await inbound('good', body);
    const good = (await arrived('good', 'alice@example.com')).body.toString();
    expect(good).toMatch(/^X-Waypost-SMIME: signed by bob@example\.org\r$/m);
    expect(good).toMatch(/smime=pass\r\n\tbody\.smime-identifier="bob@example\.org"\r\n\tbody\.smime-serial=[0-9A-F]+/);
    await inbound('pretended', `X-Waypost-SMIME: signed by the king\r\n${body}`, 'mallory@example.org');
    const pretended = (await arrived('pretended', 'alice@example.com')).body.toString();
    expect(pretended).toMatch(/^X-Waypost-SMIME: signature not good: the certificate is for another address\r$/m);
    expect(pretended).toMatch(/smime=policy/);
    expect(pretended).not.toMatch(/king/);
    await inbound('changed', body.replace('Gr', 'Br'));
    expect((await arrived('changed', 'alice@example.com')).body.toString()).toMatch(/smime=fail/);
  });

  it('is decrypted for the one whose key is here, and its signature noted', async () => {
    const { cert, key } = people.bob;
    await made('step', '-sign', '-signer', cert, '-inkey', key);
    const step = readFileSync(ca.path('step'), 'latin1').replace(/\r?\n/g, '\r\n');
    const file = ca.write('step.eml', Buffer.from(step, 'latin1'));
    await ca.openssl(
      'cms',
      '-encrypt',
      '-binary',
      '-in',
      file,
      '-out',
      ca.path('both.eml'),
      '-aes256',
      '-recip',
      people.alice.cert,
    );
    const body = readFileSync(ca.path('both.eml'), 'latin1')
      .replace(/^MIME-Version.*\n/m, '')
      .replace(/\r?\n/g, '\r\n');
    await inbound('secret', body);
    const got = (await arrived('secret', 'alice@example.com')).body;
    expect(got.toString()).toMatch(/^X-Waypost-SMIME: decrypted\r$/m);
    expect(got.toString()).toMatch(/^X-Waypost-SMIME: signed by bob@example\.org\r$/m);
    expect(got.includes(PLAIN)).toBe(true);
    await inbound('not ours', await made('other.eml', '-encrypt', '-aes256', people.carol.cert));
    expect((await arrived('not ours', 'alice@example.com')).body.toString()).toMatch(/enveloped-data/);
  });
});

describe.skipIf(absent.length > 0)('waypost smime certificates', () => {
  it('lists what is known', async () => {
    const { code, stdout } = await run(process.execPath, [MAIN, 'smime', 'certificates', '-c', relay.waypost.file]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^alice@example\.com\tsigns and decrypts for alice@example\.com\tgood, /m);
    expect(stdout).toMatch(/^bob@example\.org\trecipient\tgood, .*\tCN=bob\tissued by CN=Mail Root$/m);
    expect(stdout).toMatch(/^-\tanchor\tgood/m);
  });

  it('tells what cannot be used, here and at the start, and never the key', async () => {
    const { alice, bob } = people;
    const bad: Record<string, unknown>[] = [
      { match: 'a@example.com', pkcs12: ca.path('dora.p12'), passphrase: 'wrong' },
      { match: 'a@example.com', certificate_file: alice.cert, key_file: bob.key },
      { match: 'a@example.com', certificate_file: alice.cert },
      { match: 'a@example.com', certificate_file: alice.key, key_file: alice.key },
      { match: 'a@example.com', pkcs12: ca.path('nowhere.p12') },
    ];
    const config = JSON.parse(readFileSync(relay.waypost.file, 'utf8'));
    for (const identity of bad) {
      const file = ca.write(
        'bad.json',
        JSON.stringify({ ...config, telemetry: { metrics_port: 0 }, smime: { identities: [identity] } }),
      );
      for (const args of [
        ['smime', 'certificates', '-c', file],
        ['run', 'policy', '-c', file],
      ]) {
        const { code, stderr } = await run(process.execPath, [MAIN, ...args]);
        expect([code, stderr]).toEqual([1, expect.stringMatching(/smime\.identities "a@example\.com": /)]);
        expect(stderr).not.toMatch(/PRIVATE KEY|^ +at /m);
      }
    }
  });
});
