import { readFileSync } from 'node:fs';
import { parseMail } from '@waypost/mime';
import {
  clearSigned,
  createSmimePool,
  decrypt,
  encrypt,
  readCertificates,
  readPkcs12,
  type SmimePool,
  sealed,
  securedOf,
  sign,
  toEntity,
  verify,
  withEntity,
} from '@waypost/smime';
import { missing } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MailAuthority, type Person } from '../../support/openssl.js';

const absent = missing('openssl');
const MESSAGE = Buffer.from(
  'From: Alice <alice@example.com>\r\nTo: bob@example.org\r\nSubject: hello\r\nMIME-Version: 1.0\r\n' +
    'Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xfc\xdfe  \r\n\r\n.dot\r\n',
  'latin1',
);

let ca: MailAuthority;
let people: Record<'alice' | 'bob' | 'carol' | 'dave', Person>;
let pool: SmimePool;
let anchors: Buffer[];
beforeAll(async () => {
  if (absent.length > 0) return;
  ca = await MailAuthority.create();
  const [alice, bob, carol, dave] = [
    await ca.person('alice@example.com'),
    await ca.person('bob@example.org'),
    await ca.person('carol@example.org', 'ec'),
    await ca.person('dave@example.com', 'ec'),
  ];
  people = { alice, bob, carol, dave };
  anchors = readCertificates(readFileSync(ca.anchor));
  pool = createSmimePool(1);
});
afterAll(async () => {
  await pool?.close();
  ca?.remove();
});

const certificateOf = ({ identity }: Person) => identity.certificates[0] as Buffer;
const openerOf = (person: Person) => ({ certificate: certificateOf(person), key: person.identity.key });

describe.skipIf(absent.length > 0)(
  `what we make, read by openssl${absent.length > 0 ? ' (skipped: no openssl)' : ''}`,
  () => {
    it.each(['alice', 'dave'] as const)('signatures of %s, beside the text and around it', async (who) => {
      const entity = toEntity(MESSAGE);
      const { identity } = people[who];
      for (const detached of [true, false]) {
        const cms = await pool.run({ kind: 'sign', content: entity.inner, identity, detached });
        const message = detached ? clearSigned(entity, cms) : sealed(entity, cms, 'signed-data');
        const file = ca.write('signed.eml', message);
        const out = ca.path('content');
        for (const program of ['cms', 'smime']) {
          await ca.openssl(program, '-verify', '-in', file, '-CAfile', ca.anchor, '-out', out);
          expect(readFileSync(out).equals(entity.inner)).toBe(true);
        }
        await expect(
          ca.openssl(
            'cms',
            '-verify',
            '-in',
            ca.write('x.eml', message.toString('latin1').replace('.dot', '.dit')),
            '-CAfile',
            ca.anchor,
          ),
        )
          .rejects.toThrow(detached ? /digest|verif/i : /./)
          .catch((error) => {
            // Around the text there is no text to change.
            if (detached) throw error;
          });
      }
    });

    it.each([
      ['bob', 'aes-256-cbc', 'oaep'],
      ['bob', 'aes-256-cbc', 'pkcs1'],
      ['bob', 'aes-256-gcm', 'oaep'],
      ['carol', 'aes-256-cbc', 'oaep'],
      ['carol', 'aes-256-gcm', 'oaep'],
    ] as const)('encrypted to %s by %s, %s', async (who, cipher, rsa) => {
      const entity = toEntity(MESSAGE);
      const both = [people.bob, people.carol].map(certificateOf);
      const cms = await pool.run({
        kind: 'encrypt',
        content: entity.inner,
        certificates: both,
        options: { cipher, rsa },
      });
      const type = cipher === 'aes-256-gcm' ? 'authEnveloped-data' : 'enveloped-data';
      const file = ca.write('encrypted.eml', sealed(entity, cms, type));
      const { cert, key } = people[who];
      await ca.openssl('cms', '-decrypt', '-in', file, '-recip', cert, '-inkey', key, '-out', ca.path('content'));
      expect(readFileSync(ca.path('content')).equals(entity.inner)).toBe(true);
      const other = people.dave;
      await expect(
        ca.openssl('cms', '-decrypt', '-in', file, '-recip', other.cert, '-inkey', other.key),
      ).rejects.toThrow();
    });
  },
);

describe.skipIf(absent.length > 0)('what openssl makes, read by us', () => {
  const secured = (file: string) => {
    const found = securedOf(parseMail(readFileSync(ca.path(file))));
    if (!found) throw new Error('nothing secured');
    return found;
  };
  const signed = async (who: Person, ...args: string[]) => {
    await ca.openssl(
      ...['cms', '-sign', '-in', ca.write('plain', 'Content-Type: text/plain\r\n\r\nhello\r\n'), '-signer', who.cert],
      ...['-inkey', who.key, '-out', ca.path('by-openssl.eml'), '-crlfeol', ...args],
    );
    const found = secured('by-openssl.eml');
    const content = found.kind === 'clear-signed' ? found.content : undefined;
    return (from = who.email, change = (bytes: Buffer | undefined) => bytes) =>
      pool.run({ kind: 'verify', cms: found.cms, content: change(content), options: { anchors, from } });
  };

  it.each<[string, string[]]>([
    ['beside the text', []],
    ['around the text', ['-nodetach']],
    ['in pieces', ['-nodetach', '-stream']],
    ['by key identifier', ['-keyid']],
    ['with sha512', ['-md', 'sha512']],
    ['by RSA-PSS', ['-keyopt', 'rsa_padding_mode:pss']],
    ['without attributes', ['-noattr']],
  ])('a signature %s', async (_, args) => {
    expect(await (await signed(people.alice, ...args))()).toMatchObject({
      result: 'pass',
      emails: ['alice@example.com'],
    });
  });

  it('a signature by ECDSA', async () => {
    expect(await (await signed(people.dave))()).toMatchObject({ result: 'pass' });
  });

  it('signatures that are not to be taken, and why', async () => {
    const good = await signed(people.alice);
    const changed = (bytes: Buffer | undefined) => Buffer.from(String(bytes).replace('hello', 'hullo'));
    expect(await good('alice@example.com', changed)).toMatchObject({ result: 'fail' });
    expect(await good('mallory@example.com')).toMatchObject({ result: 'policy', reason: /another address/ });
    const web = await ca.person('web@example.com', 'rsa', { use: 'serverAuth' });
    expect(await (await signed(web))()).toMatchObject({ result: 'policy', reason: /not for mail/ });
    expect(await (await signed(people.alice, '-md', 'sha1'))()).toMatchObject({ result: 'policy', reason: /sha1/ });
    expect(await (await signed(people.alice, '-nocerts'))()).not.toMatchObject({ result: 'pass' });
    const stranger = await MailAuthority.create();
    try {
      const eve = await stranger.person('alice@example.com');
      expect(await (await signed(eve))()).toMatchObject({ result: 'policy', reason: /no good chain/ });
    } finally {
      stranger.remove();
    }
  });

  it.each<[string, 'bob' | 'carol', string[]]>([
    ['by the usual way', 'bob', []],
    ['in pieces', 'bob', ['-stream']],
    ['with RSA-OAEP', 'bob', ['-keyopt', 'rsa_padding_mode:oaep']],
    ['with RSA-OAEP of SHA-256', 'bob', ['-keyopt', 'rsa_padding_mode:oaep', '-keyopt', 'rsa_oaep_md:sha256']],
    ['with triple DES', 'bob', ['-des3']],
    ['with AES-128', 'bob', ['-aes128']],
    ['with AES-256 in GCM', 'bob', ['-aes-256-gcm']],
    ['by key identifier', 'bob', ['-keyid']],
    ['by ECDH', 'carol', []],
    ['by ECDH with SHA-256', 'carol', ['-keyopt', 'ecdh_kdf_md:sha256']],
    ['by ECDH and key identifier', 'carol', ['-keyid', '-aes-256-gcm']],
  ])('encrypted %s', async (_, who, args) => {
    const { cert } = people[who];
    const text = 'Content-Type: text/plain\r\n\r\nhello\r\n';
    const keyopt = args.filter((arg, at) => arg === '-keyopt' || args[at - 1] === '-keyopt');
    const rest = args.filter((arg, at) => arg !== '-keyopt' && args[at - 1] !== '-keyopt');
    await ca.openssl(
      ...['cms', '-encrypt', '-binary', '-in', ca.write('plain', text), '-out', ca.path('by-openssl.eml')],
      ...[...rest, '-recip', cert, ...keyopt],
    );
    const { kind, cms } = secured('by-openssl.eml');
    expect(kind).toBe('encrypted');
    const identities = [people.alice, people[who]].map(({ identity }) => identity);
    const { content, opener } = await pool.run({ kind: 'decrypt', cms, identities });
    expect([content.toString(), opener]).toEqual([text, 1]);
    await expect(pool.run({ kind: 'decrypt', cms, identities: [people.alice.identity] })).rejects.toThrow(
      /none of the keys/,
    );
  });

  it.each(['alice', 'carol'] as const)('the PKCS#12 file of %s', async (who) => {
    const { cert, key, identity } = people[who];
    const file = ca.path('own.p12');
    await ca.openssl(
      'pkcs12',
      '-export',
      '-in',
      cert,
      '-inkey',
      key,
      '-certfile',
      ca.anchor,
      '-passout',
      'pass:gehe\u00efm',
      '-out',
      file,
    );
    const read = await readPkcs12(readFileSync(file), 'gehe\u00efm');
    expect(read.certificates[0]?.equals(certificateOf(people[who]))).toBe(true);
    expect(read.certificates.length).toBe(2);
    expect(read.key).toBe(identity.key);
    await expect(readPkcs12(readFileSync(file), 'wrong')).rejects.toThrow();
  });
});

describe.skipIf(absent.length > 0)('octets that are changed or cut', () => {
  it('are refused, and never throw in verification', async () => {
    const { inner } = toEntity(MESSAGE);
    const cms = await sign(inner, people.alice.identity, false);
    const cbc = { cipher: 'aes-256-gcm', rsa: 'oaep' } as const;
    const envelope = encrypt(inner, [certificateOf(people.bob)], cbc);
    const options = { anchors, from: 'alice@example.com' };
    for (let at = 0; at < 60; at += 1) {
      const cut = cms.subarray(0, Math.floor((cms.length * at) / 60));
      expect((await verify(cut, undefined, options)).result).not.toBe('pass');
      expect(() =>
        decrypt(envelope.subarray(0, Math.floor((envelope.length * at) / 60)), [openerOf(people.bob)]),
      ).toThrow();
    }
    const changed = Buffer.from(envelope);
    changed.writeUInt8((changed.at(-30) as number) ^ 1, changed.length - 30);
    expect(() => decrypt(changed, [openerOf(people.bob)])).toThrow();
  });

  it('leave the message around them as it was', () => {
    const { outer, inner } = toEntity(MESSAGE);
    const whole = withEntity(MESSAGE, inner).toString('latin1');
    expect(outer.toString()).toBe('From: Alice <alice@example.com>\r\nTo: bob@example.org\r\nSubject: hello\r\n');
    expect(whole.split('\r\n').sort()).toEqual(MESSAGE.toString('latin1').split('\r\n').sort());
  });
});
