import { generateKeyPairSync } from 'node:crypto';
import { DnsServer, SmtpDialog, type SmtpPeer, txtRecord, waitFor, type Zone } from '@waypost/testkit';
import { dkimSign, sealMessage } from 'mailauth';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arrival, type Relay, sendMessage, startRelay } from '../../support/relay.js';
import { eventTypes, states } from '../../support/track.js';

/** Where the mail comes from: SPF of example.com knows the first; the second forwards our users' mail. */
const OWN = '127.0.0.2';
const FORWARDER = '127.0.0.3';
const STRANGER = '127.0.0.4';
const AUTHSERV = 'mx.example.org';

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const PEM = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const KEY = `v=DKIM1; k=rsa; p=${publicKey.export({ type: 'spki', format: 'der' }).toString('base64')}`;
const TEXTS: Readonly<Record<string, string>> = {
  'example.com': `v=spf1 ip4:${OWN} -all`,
  '_dmarc.example.com': 'v=DMARC1; p=reject',
  's._domainkey.example.com': KEY,
  '_dmarc.soft.test': 'v=DMARC1; p=quarantine',
  'list.test': `v=spf1 ip4:${STRANGER} -all`,
  's._domainkey.sealer.test': KEY,
};

const zone: Zone = {
  ...Object.fromEntries(
    Object.entries(TEXTS).map(([name, text]) => [
      `${name} TXT`,
      [{ ...txtRecord(name, ''), data: text.match(/.{1,200}/g) ?? [] } as ReturnType<typeof txtRecord>],
    ]),
  ),
  '_dmarc.mute.test TXT': 'SERVFAIL',
};

let dns: DnsServer;
let relay: Relay;
let peer: SmtpPeer;
beforeAll(async () => {
  dns = await DnsServer.start(zone);
  relay = await startRelay({
    listeners: [
      { name: 'trusted' },
      { name: 'inbound', kind: 'mx', allow: [], domains: ['example.org'], banner_delay: '0ms' },
    ],
    config: {
      delivery: { dns_servers: [dns.address] },
      policy: { retry: '300ms', scan_max: '64KiB' },
      auth: {
        authserv_id: AUTHSERV,
        received_spf: true,
        on_temperror: 'defer',
        dmarc: { trusted_forwarders: [FORWARDER], mailing_lists: ['list.test'], trusted_sealers: ['sealer.test'] },
      },
    },
  });
  peer = relay.peer;
});
afterAll(async () => {
  await relay?.stop();
  await dns?.stop();
});

interface Mail {
  readonly subject: string;
  readonly from?: string;
  readonly sender?: string;
  readonly client?: string;
  readonly fields?: string;
  readonly listener?: string;
}

const compose = ({ subject, from = 'a@example.com', fields = '' }: Mail) =>
  `${fields}From: ${from}\r\nSubject: ${subject}\r\n\r\nhello\r\n`;

/** @returns the id under which it was taken. */
async function send(mail: Mail, message = compose(mail)): Promise<string> {
  const { sender = 'a@example.com', client = STRANGER, listener = 'inbound' } = mail;
  const dialog = await SmtpDialog.open(relay.waypost.port(listener), client);
  await dialog.reply();
  await dialog.say('EHLO client.test');
  const reply = await sendMessage(dialog, message, sender, 'b@example.org');
  dialog.close();
  return /queued as (\S+)/.exec(reply)?.[1] ?? reply;
}

/** The fields of a name in a message that arrived, unfolded. */
async function fieldsOf(subject: string, name: string): Promise<string[]> {
  const { body } = await arrival(peer, subject);
  const head =
    body
      .toString('latin1')
      .split('\r\n\r\n')[0]
      ?.replace(/\r\n[ \t]+/g, ' ') ?? '';
  return head.split('\r\n').filter((line) => line.startsWith(`${name}:`));
}

describe('authentication of mail from outside', () => {
  it('is noted in the header, by SPF and DMARC', async () => {
    await send({ subject: 'by spf', client: OWN });
    const [field, ...more] = await fieldsOf('by spf', 'Authentication-Results');
    expect(more).toEqual([]);
    expect(field).toMatch(
      /^Authentication-Results: mx\.example\.org; dkim=none; spf=pass smtp\.mailfrom=example\.com;/,
    );
    expect(field).toContain('dmarc=pass (p=reject) header.from=example.com policy.dmarc=reject');
    expect(await fieldsOf('by spf', 'Received-SPF')).toEqual([
      expect.stringMatching(/^Received-SPF: pass receiver="mx\.example\.org"; client-ip="127\.0\.0\.2";/),
    ]);
  });

  it('holds by DKIM, wherever the mail comes from', async () => {
    const mail = compose({ subject: 'by dkim' });
    const key = { signingDomain: 'example.com', selector: 's', privateKey: PEM };
    const { signatures } = await dkimSign(mail, { ...key, signatureData: [key] });
    await send({ subject: 'by dkim', sender: '' }, signatures + mail);
    const [field] = await fieldsOf('by dkim', 'Authentication-Results');
    expect(field).toMatch(/dkim=pass \(2048-bit key\) header\.d=example\.com/);
    expect(field).toContain('dmarc=pass');
  });

  it.each([
    ['long and whole', '', 'pass'],
    ['long and changed at its end', 'changed\r\n', 'fail'],
  ])('is over all of a message that checks see the beginning of: %s', async (subject, added, result) => {
    const mail = compose({ subject }) + 'line  of \ttext \r\n'.repeat(20_000);
    const key = { signingDomain: 'example.com', selector: 's', privateKey: PEM };
    const { signatures } = await dkimSign(mail, { ...key, signatureData: [key] });
    await send({ subject, client: OWN }, signatures + mail + added);
    expect((await fieldsOf(subject, 'Authentication-Results'))[0]).toContain(`dkim=${result} (`);
  });

  it('takes out fields that claim to be ours, and those alone', async () => {
    const fields = [
      `Authentication-Results: ${AUTHSERV}; dmarc=pass header.from=bank.test`,
      `Authentication-Results: (x) "MX.example.org" 1; spf=pass`,
      'Authentication-Results: other.test; spf=pass',
      '',
    ].join('\r\n');
    await send({ subject: 'forged', client: OWN, fields });
    const found = await fieldsOf('forged', 'Authentication-Results');
    expect(found).toHaveLength(2);
    expect(found.filter((field) => /bank\.test|MX\.example/.test(field))).toEqual([]);
    expect(found).toContain('Authentication-Results: other.test; spf=pass');
  });

  it('refuses what its author wants refused, and tells nobody who may be forged', async () => {
    const id = await send({ subject: 'spoofed' });
    const [refused] = await states(relay, id, 'rejected');
    expect(refused?.last_response).toMatchObject({ code: 550, enhanced: '5.7.26' });
    expect(refused?.last_response?.text).toContain('example.com');
    expect(await eventTypes(relay, id)).toEqual(['Reception', 'Rejection']);
  });

  it('refuses it with a second From field before it too', async () => {
    const id = await send({ subject: 'two authors', fields: 'From: friend@nowhere.test\r\n' });
    await states(relay, id, 'rejected');
  });

  it('delivers what its author wants quarantined, tagged', async () => {
    const id = await send({ subject: 'suspect', from: 'a@soft.test' });
    await states(relay, id, 'delivered');
    expect((await fieldsOf('suspect', 'Authentication-Results'))[0]).toContain(
      'dmarc=fail (p=quarantine, dis=quarantine)',
    );
  });

  it.each([
    ['a forwarder that is trusted', { subject: 'forwarded', client: FORWARDER }],
    ['a mailing list that is known', { subject: 'listed', sender: 'bounce@list.test' }],
  ])('delivers what comes by %s', async (_, mail) => {
    const id = await send(mail);
    await states(relay, id, 'delivered');
    expect((await fieldsOf(mail.subject, 'Authentication-Results'))[0]).toContain('dmarc=fail');
  });

  it('delivers what a trusted sealer saw pass, and not what another did', async () => {
    const seal = async (subject: string, signingDomain: string) => {
      const mail = compose({ subject });
      const headers = await sealMessage(mail, {
        signingDomain,
        selector: 's',
        privateKey: PEM,
        authResults: 'list.test; dmarc=pass header.from=example.com',
        cv: 'none',
      });
      return send({ subject }, headers.toString() + mail);
    };
    await states(relay, await seal('sealed', 'sealer.test'), 'delivered');
    expect((await fieldsOf('sealed', 'Authentication-Results'))[0]).toContain('arc=pass (i=1)');
    await states(relay, await seal('sealed by another', 'example.com'), 'rejected');
  });

  it('waits while a policy is not to be had', async () => {
    const id = await send({ subject: 'mute', from: 'a@mute.test' });
    await waitFor('a deferral', async () => (await eventTypes(relay, id)).includes('PolicyDefer'));
    (dns.zone as Zone)['_dmarc.mute.test TXT'] = [txtRecord('_dmarc.mute.test', 'v=DMARC1; p=none')];
    await states(relay, id, 'delivered');
  });

  it('leaves mail of our own alone', async () => {
    await send({ subject: 'our own', listener: 'trusted', client: '127.0.0.1' });
    expect(await fieldsOf('our own', 'Authentication-Results')).toEqual([]);
  });
});
