import { spawnSync } from 'node:child_process';
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { join } from 'node:path';
import {
  checkDkim,
  createBodyHashes,
  createKeyCache,
  type DkimFinding,
  type DkimSettings,
  readSection,
} from '@waypost/msgauth';
import { run } from '@waypost/testkit';
import { dkimVerify } from 'mailauth';
import { beforeAll, describe, expect, it } from 'vitest';
import { fixtures } from '../../support/fixtures.js';
import { textResolver } from '../../support/zone-data.js';

const FOLDER = 'dkim-dkimpy';
/** Debian's own, which has its packages. */
const PYTHON = '/usr/bin/python3';

const folder = fixtures(FOLDER);
const dkimpy = spawnSync(PYTHON, ['-c', 'import dkim, nacl']).status === 0;
const lacking = [
  ...(folder ? [] : [`../shared/fixtures/${FOLDER}`]),
  ...(dkimpy ? [] : ['python3-dkim, python3-nacl']),
];

interface Case {
  readonly name: string;
  readonly message: Buffer;
  readonly texts: Readonly<Record<string, string>>;
  readonly passes: boolean;
}

const SETTINGS: DkimSettings = { minBits: 1024, maxSignatures: 10, partialBody: false };

async function verify(
  message: Buffer,
  texts: Readonly<Record<string, string>>,
  settings: Partial<DkimSettings> = {},
): Promise<DkimFinding[]> {
  const section = readSection(message);
  if (!section) throw new Error('the header section is too large');
  const deps = { resolve: textResolver(texts), keys: createKeyCache(), now: Date.now };
  return checkDkim(section, createBodyHashes(section), { ...SETTINGS, ...settings }, deps);
}

const passed = (findings: readonly DkimFinding[]) => findings.some(({ result }) => result === 'pass');

async function passesAtMailauth({ message, texts }: Case): Promise<boolean> {
  const resolver = async (name: string) => {
    const text = texts[name.toLowerCase()];
    if (text === undefined) throw Object.assign(new Error(name), { code: 'ENOTFOUND' });
    return [[text]];
  };
  const { results } = await dkimVerify(message, { resolver, strict: true });
  return results.some(({ status }) => status.result === 'pass');
}

describe.skipIf(lacking.length > 0)(`DKIM, verdicts of others (needs ${lacking.join(', ') || 'nothing more'})`, () => {
  let cases: Case[];
  beforeAll(async () => {
    const script = join(import.meta.dirname, '../../support/dkimpy.py');
    const { code, stdout, stderr } = await run(PYTHON, [script, folder ?? '']);
    expect(code, stderr).toBe(0);
    cases = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Case & { message: string })
      .map((one) => ({ ...one, message: Buffer.from(one.message, 'base64') }));
  });

  it('agrees with dkimpy, but for rsa-sha1', async () => {
    expect(cases.length).toBeGreaterThan(250);
    const differing: string[] = [];
    for (const { name, message, texts, passes } of cases) {
      const wanted = passes && !name.startsWith('rsa-sha1');
      if (passed(await verify(message, texts, { partialBody: true })) !== wanted) differing.push(name);
    }
    expect(differing).toEqual([]);
  });

  it('agrees with mailauth', async () => {
    const differing: string[] = [];
    for (const one of cases) {
      const ours = passed(await verify(one.message, one.texts, { partialBody: true }));
      if ((await passesAtMailauth(one)) !== ours) differing.push(one.name);
    }
    // mailauth does not mind a From that is not signed beside one that is.
    expect(differing.filter((name) => !/From added/.test(name))).toEqual([]);
  });

  it('never lets rsa-sha1 pass', async () => {
    const signed = cases.filter(({ name }) => name.startsWith('rsa-sha1'));
    expect(signed.some(({ passes }) => passes)).toBe(true);
    for (const { message, texts } of signed) {
      expect((await verify(message, texts)).map(({ result }) => result)).toEqual(['policy']);
    }
  });

  it('does not count a signature that leaves out the end of the body, unless told to', async () => {
    const open = cases.filter(({ name, passes }) => passes && /with l=.*body added/.test(name));
    expect(open.length).toBeGreaterThan(0);
    for (const { message, texts } of open) {
      expect(passed(await verify(message, texts))).toBe(false);
      expect(passed(await verify(message, texts, { partialBody: true }))).toBe(true);
    }
  });
});

describe('DKIM keys', () => {
  it.each([
    [512, 'policy'],
    [1024, 'pass'],
  ] as const)('of %i bits: %s', async (bits, result) => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: bits });
    const bodyHash = createHash('sha256').update('hello\r\n').digest('base64');
    const tags = `v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=s; h=from; bh=${bodyHash}; b=`;
    const signature = sign('sha256', Buffer.from(`from:a@example.com\r\ndkim-signature:${tags}`), privateKey);
    const field = `DKIM-Signature: ${tags}${signature.toString('base64')}`;
    const message = Buffer.from(`${field}\r\nFrom: a@example.com\r\n\r\nhello\r\n`);
    const key = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
    const findings = await verify(message, { 's._domainkey.example.com': `v=DKIM1; p=${key}` });
    expect(findings).toMatchObject([{ result, bits }]);
  });
});
