import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { loadConfig, readPrivateKey } from '@waypost/config';
import { firstValue, headerFields, normaliseLineEnds } from '@waypost/mail';
import { parseAddresses } from '@waypost/mime';
import { type DkimKey, dkimSign, openMessage, recordText } from '@waypost/signing';
import { describe, expect, it } from 'vitest';
import { dkimKey, newKey, recordsOf } from '../../support/dkim-keys.js';
import { missingVerifiers, type Verdicts, withDkimpy, withMailauth, withOpenDkim } from '../../support/dkim-peers.js';
import { fixtures } from '../../support/fixtures.js';

const { dkim } = loadConfig({ env: {} });
const KEYS = [dkimKey(newKey('rsa'), 'r', 'example.com'), dkimKey(newKey('ed25519'), 'e', 'example.com')];
const RECORDS = recordsOf(...KEYS);
const BOTH = ['pass', 'pass'];
const absent = await missingVerifiers();
if (absent.length > 0) console.warn(`Signatures are not shown to: ${absent.join(', ')}, not installed`);

async function signed(message: Buffer, keys: readonly DkimKey[] = KEYS, cut = 0): Promise<Buffer> {
  const chunks = cut > 0 ? (message.toString('latin1').match(new RegExp(`[^]{1,${cut}}`, 'g')) ?? []) : [];
  const source = cut > 0 ? Readable.from(chunks.map((chunk) => Buffer.from(chunk, 'latin1'))) : message;
  const open = await openMessage(source, 1_000_000);
  const content = { header: open.header, bodyHash: await open.bodyHash() };
  const fields = await dkimSign(content, keys, dkim, { at: Math.floor(Date.now() / 1000) });
  return Buffer.concat([...fields.map((field) => Buffer.from(`${field}\r\n`)), message]);
}

const HEAD = 'From: A <a@example.com>\r\nTo: b@example.org\r\nSubject: x\r\nDate: Wed, 25 Nov 2026 08:00:00 +0000\r\n';
const MESSAGES: Record<string, string> = {
  plain: `${HEAD}\r\nhello\r\n`,
  'no body': `${HEAD}\r\n`,
  'a body of blank lines': `${HEAD}\r\n \r\n\t\r\n\r\n`,
  'no end of the header section': HEAD,
  'no final line end': `${HEAD}\r\nhello`,
  'blanks at the ends of lines': `${HEAD}\r\na \t\r\n  b\t\tc  \r\n\r\n\r\n`,
  '8-bit octets': `${HEAD}X: \xfc\r\n\r\nGr\xfc\xdfe \xa0\r\n\xc3\xa4\xc2\xa0 \r\n`,
  'an 8-bit subject': `From: a@example.com\r\nSubject: \xc3\xa4\xa0 \xff\r\n\r\nx\r\n`,
  'long lines': `${HEAD}X-Long: ${'y '.repeat(2000)}\r\n\r\n${'long '.repeat(20_000)}\r\n`,
  'folded fields': `From: a@example.com\r\nSubject:\r\n one\r\n\t two \r\n   three\r\nTo:\r\n\tb@example.org\r\n\r\nx\r\n`,
  'a field several times': `${HEAD}List-Id: <a>\r\nList-Id: <b>\r\nReferences: <1@a>\r\n\r\nx\r\n`,
  'names in other cases and blanks before colons': 'FROM : a@example.com\r\nsubject\t:x\r\nTO:\r\n\r\nx\r\n',
  'lines that begin with dots': `${HEAD}\r\n.\r\n..x\r\n`,
  'a signature of another': `DKIM-Signature: v=1; a=rsa-sha256; d=other.test; s=x; h=from; bh=; b=\r\n${HEAD}\r\nx\r\n`,
};

describe('our signatures', () => {
  const messages = Object.entries(MESSAGES);
  const last = (verdicts: readonly Verdicts[]) => verdicts.map((list) => list.slice(0, 2));

  it.each(['mailauth', 'dkimpy', 'OpenDKIM'])('verify with %s', async (who) => {
    if (absent.includes(who === 'dkimpy' ? 'python3-dkim' : who.toLowerCase())) return;
    const verify = { mailauth: withMailauth, dkimpy: withDkimpy, OpenDKIM: withOpenDkim }[who] as typeof withMailauth;
    const mails = await Promise.all(messages.map(([, text]) => signed(Buffer.from(text, 'latin1'))));
    const found = last(await verify(mails, RECORDS));
    // dkimpy and OpenDKIM take no field for one whose colon a blank stands before (RFC 5322 §4.5.8 allows it).
    const given = messages.filter(([name]) => who === 'mailauth' || !name.includes('blanks before colons'));
    expect(
      Object.fromEntries(given.map(([name]) => [name, found[messages.findIndex(([one]) => one === name)]])),
    ).toEqual(Object.fromEntries(given.map(([name]) => [name, BOTH])));
  });

  it('do not verify any more when a signed octet, a new author or a second subject comes in', async () => {
    const mail = (await signed(Buffer.from(MESSAGES.plain ?? ''))).toString('latin1');
    const forged = [
      mail.replace('hello', 'hullo'),
      mail.replace('A <a@', 'B <a@'),
      mail.replace('\r\nFrom:', '\r\nFrom: c@example.com\r\nFrom:'),
      mail.replace('\r\nSubject:', '\r\nSubject: y\r\nSubject:'),
      mail.replace('\r\nSubject:', '\r\nReply-To: c@example.com\r\nSubject:'),
      mail.replace('hello\r\n', 'hello\r\nmore\r\n'),
    ];
    for (const verdicts of await withMailauth(
      forged.map((text) => Buffer.from(text, 'latin1')),
      RECORDS,
    )) {
      for (const verdict of verdicts) expect(verdict).not.toBe('pass');
    }
  });

  it('are the same for a message that comes in pieces', async () => {
    const message = Buffer.from(MESSAGES['blanks at the ends of lines'] ?? '');
    for (const cut of [1, 2, 3, 7]) {
      expect(await withMailauth([await signed(message, KEYS, cut)], RECORDS)).toEqual([BOTH]);
    }
  });
});

const weird = fixtures('mime-mail-parser');

describe.skipIf(!weird)(`messages as they come${weird ? '' : ' (skipped: no fixtures mime-mail-parser)'}`, () => {
  /** Whose header section dkimpy cannot read: a blank in a field's name. */
  const NOT_FOR_DKIMPY = ['malformed/019.eml'];
  /** OpenDKIM judges no message without an author's address (RFC 5322 §3.6.2). */
  const hasAuthor = (mail: Buffer) => {
    const fields = headerFields(mail);
    return parseAddresses(firstValue(mail, fields, 'from') ?? '')[0]?.address.includes('@') === true;
  };

  it('are signed, whatever they are like', async () => {
    const dir = weird as string;
    const files = (readdirSync(dir, { recursive: true }) as string[]).filter((name) => name.endsWith('.eml')).sort();
    const mails = await Promise.all(
      files.map(async (name) => signed(normaliseLineEnds(readFileSync(join(dir, name))))),
    );
    expect(files.length).toBeGreaterThan(100);
    const refused: Record<string, string> = {};
    const verifiers = {
      mailauth: withMailauth,
      ...(absent.includes('python3-dkim') ? {} : { dkimpy: withDkimpy }),
      ...(absent.includes('opendkim') ? {} : { OpenDKIM: withOpenDkim }),
    };
    for (const [who, verify] of Object.entries(verifiers)) {
      const found = await verify(mails, RECORDS);
      for (const [at, mail] of mails.entries()) {
        if (who === 'dkimpy' && NOT_FOR_DKIMPY.some((name) => files[at]?.endsWith(name))) continue;
        if (who === 'OpenDKIM' && !hasAuthor(mail)) continue;
        const own = found[at]?.slice(0, 2).join(', ') ?? '';
        if (own !== 'pass, pass') refused[`${files[at]} ${who}`] = own;
      }
    }
    expect(refused).toEqual({});
  });
});

const dkimpy = fixtures('dkim-dkimpy');

describe.skipIf(!dkimpy)(`keys of dkimpy's tests${dkimpy ? '' : ' (skipped: no fixtures dkim-dkimpy)'}`, () => {
  const read = (name: string) => readFileSync(join(dkimpy as string, name), 'utf8');

  it.each(['1024_testkey', '2048_testkey', '2048_testkey_PKCS8'])('%s: its record is what they have', (name) => {
    const key = readPrivateKey(read(`${name}.key`));
    const file = existsSync(join(dkimpy as string, `${name}_wo_markers.pub.txt`)) ? `${name}_wo_markers.pub.txt` : '';
    const theirs = read(file || `${name}.key.pub.txt`).replace(/\s+/g, '');
    expect(theirs).toContain(recordText(key).replace(/^.*p=/, ''));
  });

  it('of RFC 8463 gives the record of RFC 8463', () => {
    // PKCS#8 around the bare 32 octets (RFC 8410 §7).
    const seed = Buffer.from(read('ed25519test.key').trim(), 'base64');
    const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
    const pem = `-----BEGIN PRIVATE KEY-----\n${der.toString('base64')}\n-----END PRIVATE KEY-----`;
    expect(read('ed25519test.dns')).toContain(readPrivateKey(pem).publicKey);
  });
});
