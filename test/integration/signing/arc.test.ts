import { createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readPrivateKey } from '@waypost/config';
import { headerFields, normaliseLineEnds } from '@waypost/mail';
import { arcSeal, type ChainStatus, openMessage, ownResults, relaxedField } from '@waypost/signing';
import { authenticate } from 'mailauth';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { dkimKey, newKey, recordsOf } from '../../support/dkim-keys.js';
import { fixtures } from '../../support/fixtures.js';

interface SignCase {
  readonly message: string;
  readonly t: number;
  readonly 'sig-headers': string;
  readonly 'srv-id': string;
  readonly AS: string;
  readonly AMS: string;
  readonly AAR: string;
}

interface Suite {
  readonly domain: string;
  readonly sel: string;
  readonly privatekey: string;
  readonly tests: Record<string, SignCase>;
}

const dir = fixtures('arc-valimail');
const suites = dir
  ? parseAllDocuments(readFileSync(join(dir, 'arc-draft-sign-tests.yml'), 'utf8')).map((one) => one.toJS() as Suite)
  : [];
const cases = suites.flatMap((suite) => Object.entries(suite.tests ?? {}).map(([name, one]) => ({ name, suite, one })));

/** Without the field's name, and blanks as one each. */
const plain = (field: string) =>
  field
    .replace(/^[\w-]+:/, '')
    .replace(/\s+/g, ' ')
    .trim();

const withoutSignature = (field: string) => plain(field).replace(/\bb=[^;]+/, 'b=');

/** The fields of the sets that a message came with, in the order of a seal. */
function earlierSets(header: Buffer): string[] {
  const names = ['arc-authentication-results', 'arc-message-signature', 'arc-seal'];
  return headerFields(header)
    .filter(({ name }) => names.includes(name))
    .map(({ name, start, end }) => {
      const field = header.toString('latin1', start, end);
      return { field, rank: Number(/\bi=(\d+)/.exec(field)?.[1]) * 3 + names.indexOf(name) };
    })
    .sort((a, b) => a.rank - b.rank)
    .map(({ field }) => field);
}

describe.skipIf(!dir)(
  `signing cases of valimail's ARC suite${dir ? '' : ' (skipped: no fixtures arc-valimail)'}`,
  () => {
    it('are 17', () => expect(cases.length).toBe(17));

    it.each(cases)('$name: the same set', async ({ suite, one }) => {
      const { header, bodyHash } = await read(normaliseLineEnds(Buffer.from(one.message)));
      const results = ownResults(header, one['srv-id']) ?? '';
      const chain = (/\barc=(\w+)/.exec(results)?.[1] ?? 'none') as ChainStatus;
      const key = { ...readPrivateKey(suite.privatekey), domain: suite.domain, selector: suite.sel };
      const set = await arcSeal({ header, bodyHash, results, chain, at: one.t }, key, one['sig-headers'].split(':'));
      const [aar = '', ams = '', seal = ''] = set ?? [];
      expect([plain(aar), plain(ams)]).toEqual([plain(one.AAR ?? ''), plain(one.AMS ?? '')]);
      // The suite's own seals cover message signatures that are not folded: the same but for `b=`, which is looked at here.
      expect(withoutSignature(seal)).toBe(withoutSignature(one.AS ?? ''));
      if (!set) return;
      const before = seal.includes('cv=fail') ? [] : earlierSets(header);
      const covered = [...before, aar, ams, seal.replace(/\bb=[^;]+/, 'b=')].map(relaxedField).join('\r\n');
      const signature = Buffer.from(/\bb=([^;]+)/.exec(seal)?.[1] ?? '', 'base64');
      expect(verify('sha256', Buffer.from(covered, 'latin1'), createPublicKey(suite.privatekey), signature)).toBe(true);
    });
  },
);

async function read(message: Buffer) {
  const open = await openMessage(message, 1_000_000);
  return { header: open.header, bodyHash: await open.bodyHash() };
}

const SIGNED = ['from', 'to', 'subject', 'date', 'dkim-signature', 'list-id'];

describe('a chain of our seals', () => {
  const keys = [dkimKey(newKey('rsa'), 'one', 'first.test'), dkimKey(newKey('rsa'), 'two', 'second.test')];
  const records = recordsOf(...keys);
  const chainOf = async (message: Buffer) => {
    const resolver = async (name: string, type: string) => {
      const text = type === 'TXT' ? records[name] : undefined;
      if (text === undefined) throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
      return [[text]];
    };
    const options = { ip: '192.0.2.1', helo: 'x.test', mta: 'y.test', sender: 'a@example.com', resolver };
    const { arc } = await authenticate(message, options);
    return arc ? arc.status.result : undefined;
  };
  const seal = async (message: Buffer, at: number, chain: ChainStatus, change = (text: string) => text) => {
    const results = `${at === 0 ? 'first' : 'second'}.test;\r\n\tspf=pass smtp.mailfrom=example.com`;
    const changed = Buffer.from(change(message.toString('latin1')), 'latin1');
    const content = await read(changed);
    const key = keys[at % 2];
    if (!key) throw new Error('no key');
    const set = await arcSeal({ ...content, results, chain, at: Math.floor(Date.now() / 1000) }, key, SIGNED);
    return set ? Buffer.concat([Buffer.from(`${set.toReversed().join('\r\n')}\r\n`), changed]) : undefined;
  };
  const first = Buffer.from(
    'From: a@example.com\r\nSubject: x\r\nList-Id: <x>\r\nList-Id: <y>\r\nTo: b@example.org\r\n\r\nhello  \xe4 \r\n\r\n',
    'latin1',
  );

  it('verifies, over a change that the next one seals', async () => {
    const once = (await seal(first, 0, 'none')) as Buffer;
    expect(await chainOf(once)).toBe('pass');
    const twice = (await seal(once, 1, 'pass', (text) => text.replace('Subject: x', 'Subject: [list] x'))) as Buffer;
    expect(await chainOf(twice)).toBe('pass');
    expect(await chainOf(Buffer.from(twice.toString('latin1').replace('hello', 'hullo'), 'latin1'))).toBe('fail');
  });

  it('ends where it is broken', async () => {
    const once = (await seal(first, 0, 'none')) as Buffer;
    const broken = (await seal(once, 1, 'fail')) as Buffer;
    expect(broken.toString('latin1')).toMatch(/^ARC-Seal:[\s\S]*?cv=fail/);
    expect(await seal(broken, 2, 'fail')).toBeUndefined();
  });

  it('has fifty sets at most', async () => {
    let message: Buffer = first;
    let sets = 0;
    for (let next: Buffer | undefined = first; next && sets < 60; sets += 1) {
      message = next;
      next = await seal(message, sets, sets === 0 ? 'none' : 'pass');
    }
    expect(sets - 1).toBe(50);
    expect(await chainOf(message)).toBe('pass');
  });
});

describe('what our checks wrote down', () => {
  const results = (text: string) => ownResults(Buffer.from(text), 'mx.test');
  it.each([
    ['Authentication-Results: mx.test; spf=pass\r\n', 'mx.test;\r\n\tspf=pass'],
    ['Authentication-Results: "MX.test" 1;\r\n dkim=fail;\r\n spf=none\r\n', 'mx.test;\r\n\tdkim=fail; spf=none'],
    [
      'Authentication-Results: mx.test; a=b\r\nX: y\r\nAuthentication-Results: mx.test; c=d\r\n',
      'mx.test;\r\n\ta=b;\r\n\tc=d',
    ],
    ['Authentication-Results: other.test; spf=pass\r\nAuthentication-Results: mx.test\r\n', undefined],
    // Of strangers, under a name that begins like ours.
    ['Authentication-Results: "mx.test; dmarc=pass\r\n', undefined],
    ['Authentication-Results: "mx.test; dmarc=pass; x="; y=z\r\n', undefined],
  ])('%j: %j', (text, expected) => expect(results(text)).toBe(expected));
});
