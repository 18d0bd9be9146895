import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConfigError, loadConfig, readPrivateKey } from '@waypost/config';
import { generateKey, parseTags, recordProblems, recordText, zoneLine } from '@waypost/signing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'keys-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const rsa = (bits: number) =>
  generateKeyPairSync('rsa', { modulusLength: bits }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

describe('a made key', () => {
  test.each(['rsa', 'ed25519'] as const)(
    'of type %s is for its owner alone, and never overwrites one',
    async (type) => {
      const file = join(dir, `${type}.pem`);
      const key = await generateKey(file, type, 2048);
      expect(statSync(file).mode & 0o777).toBe(0o600);
      expect(readPrivateKey(readFileSync(file, 'utf8')).publicKey).toBe(key.publicKey);
      await expect(generateKey(file, type, 2048)).rejects.toMatchObject({ code: 'EEXIST' });
    },
  );

  test('has the record that openssl makes of it', async () => {
    const file = join(dir, 'openssl.pem');
    const key = await generateKey(file, 'rsa', 2048);
    const spki = execFileSync('openssl', ['pkey', '-in', file, '-pubout', '-outform', 'DER']);
    expect(recordText(key)).toBe(`v=DKIM1; k=rsa; p=${spki.toString('base64')}`);
  });

  test('has a zone line whose strings are within 255 octets', async () => {
    const text = recordText(await generateKey(join(dir, 'long.pem'), 'rsa', 4096));
    const line = zoneLine('s._domainkey.example.com', text);
    const strings = [...line.matchAll(/"([^"]*)"/g)].map(([, string = '']) => string);
    expect(strings.join('')).toBe(text);
    expect(strings.length).toBe(Math.ceil(text.length / 255));
    expect(Math.max(...strings.map((string) => string.length))).toBe(255);
  });
});

describe('a record against its key', () => {
  const key = readPrivateKey(rsa(2048));
  const good = recordText(key);
  test.each<[string, readonly string[], RegExp | undefined]>([
    ['is as it should be', [good], undefined],
    ['has blanks within p=', [good.replace(/(.{70})/g, '$1 ')], undefined],
    ['without v= and k=', [`p=${key.publicKey}`], undefined],
    ['is missing', [], /no record/],
    ['is there twice', [good, good], /2 records/],
    ['is revoked', ['v=DKIM1; k=rsa; p='], /revoked/],
    ['is of another type', [good.replace('rsa', 'ed25519')], /k=ed25519/],
    ['is of another key', [recordText(readPrivateKey(rsa(1024)))], /another public key/],
    ['only allows sha1', [`${good}; h=sha1`], /sha256/],
    ['is for another service', [`${good}; s=other`], /s=/],
    ['is in testing', [`${good}; t=y:s`], /t=y/],
    ['is no list of tags', ['hello'], /no list/],
  ])('%s', (_, texts, expected) => {
    const problems = recordProblems(texts, key);
    if (expected) expect(problems.join()).toMatch(expected);
    else expect(problems).toEqual([]);
  });

  test('is split into its tags', () => {
    expect([...(parseTags(' a = b=c ; d=;') ?? [])]).toEqual([
      ['a', 'b=c'],
      ['d', ''],
    ]);
    expect(parseTags('a=1; a=2')).toBeUndefined();
    expect(parseTags('a=1;; b=2')).toBeUndefined();
  });
});

describe('the configuration of signing', () => {
  const problems = (dkim: unknown) => {
    try {
      loadConfig({ text: JSON.stringify({ dkim }) });
      return '';
    } catch (error) {
      return (error as ConfigError).problems.join('\n');
    }
  };
  const good = rsa(1024);
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' });
  const withKeys = (...keys: unknown[]) => ({ domains: [{ match: 'example.com', keys }] });
  test.each<[string, unknown, RegExp]>([
    ['a key that is none', withKeys({ selector: 's', key: 'SECRET' }), /no private key/],
    ['a key of 512 bits', withKeys({ selector: 's', key: rsa(512) }), /512 bits/],
    ['a key of another kind', withKeys({ selector: 's', key: ec }), /type ec/],
    ['a selector twice', withKeys({ selector: 's', key: good }, { selector: 'S', key: good }), /two keys/],
    ['a selector that is none', withKeys({ selector: 's s', key: good }), /no selector/],
    ['a successor of nobody', withKeys({ selector: 's', key: good, replaces: 't' }), /replaces "t"/],
    [
      'an end before the beginning',
      withKeys({ selector: 's', key: good, from: '2026-02-01', until: '2026-01-01' }),
      /later/,
    ],
    ['a date that is none', withKeys({ selector: 's', key: good, from: '1.2.2026' }), /no date/],
    ['no From field', { signed: ['To'], oversigned: [], sealed: [] }, /from/],
    ['an oversigned field that is not signed', { oversigned: ['x-a'] }, /x-a/],
    ['a key file that is not there', withKeys({ selector: 's', key_file: '/nowhere/key.pem' }), /cannot be read/],
  ])('refuses %s', (_, dkim, expected) => {
    const text = problems(dkim);
    expect(text).toMatch(expected);
    expect(text).not.toMatch(/SECRET/);
  });
});
