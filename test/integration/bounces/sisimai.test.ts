import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseReport, type Report } from '@waypost/bounces';
import type { BounceCause } from '@waypost/mail';
import { beforeAll, describe, expect, it } from 'vitest';
import { fixtures } from '../../support/fixtures.js';

const FOLDER = 'sisimai-bounces';

/** What the set calls the causes that have another name here; the others differ in underscores alone. */
const NAMES: Partial<Record<BounceCause, string>> = {
  suspended: 'suspend',
  limit_exceeded: 'exceedlimit',
  message_too_big: 'mesgtoobig',
  virus: 'virusdetected',
  spam: 'spamdetected',
  reverse_dns: 'requireptr',
  rate_limited: 'speeding',
  too_many_connections: 'toomanyconn',
  sender_rejected: 'rejected',
  policy: 'policyviolation',
  security: 'securityerror',
  not_compliant: 'notcompliantrfc',
};

interface Row {
  readonly file: string;
  readonly index: number;
  readonly reason: string;
  readonly hard: boolean;
}

describe.skipIf(!fixtures(FOLDER))(`bounces of many hosts (needs ../shared/fixtures/${FOLDER})`, () => {
  const folder = fixtures(FOLDER) ?? '';
  const reports = new Map<string, Report | undefined>();
  let rows: Row[];
  beforeAll(async () => {
    const lines = readFileSync(join(folder, 'expected.tsv'), 'utf8').trim().split('\n').slice(1);
    rows = lines.map((line) => {
      const [file = '', index = '', , , reason = '', hard = ''] = line.split('\t');
      return { file, index: Number(index), reason, hard: hard === 'true' };
    });
    for (const { file } of rows) if (!reports.has(file)) reports.set(file, await parseReport(read(file)));
  });

  /** Some are there in other line ends only. */
  function read(file: string): Buffer {
    const found = ['bsd', 'dos', 'mac'].map((kind) => join(folder, 'maildir', kind, file)).find(existsSync);
    if (!found) throw new Error(`there is no ${file} in the set`);
    return readFileSync(found);
  }

  const share = (holds: (row: Row) => boolean) => rows.filter(holds).length / rows.length;
  const told = ({ file, index }: Row) => reports.get(file)?.recipients[index - 1];

  it('recipient, hardness and cause agree with what people made of them', () => {
    const found = share((row) => told(row)?.recipient.includes('@') === true);
    const hard = share((row) => told(row)?.hard === row.hard);
    const reason = share((row) => {
      const cause = told(row)?.cause;
      return cause !== undefined && (NAMES[cause] ?? cause.replaceAll('_', '')) === row.reason;
    });
    const percent = (part: number) => `${(part * 100).toFixed(1)} %`;
    console.log(
      `${rows.length} recipients: found ${percent(found)}, hard or soft agreed ${percent(hard)}, cause agreed ${percent(reason)}`,
    );
    expect(found).toBeGreaterThanOrEqual(0.98);
    expect(hard).toBeGreaterThanOrEqual(0.92);
    expect(reason).toBeGreaterThanOrEqual(0.85);
  });

  it('line ends make no difference', async () => {
    for (const kind of ['dos', 'mac']) {
      for (const file of readdirSync(join(folder, 'maildir', kind))) {
        const plain = join(folder, 'maildir', 'bsd', file);
        if (!existsSync(plain)) continue;
        const [one, other] = await Promise.all([
          parseReport(readFileSync(plain)),
          parseReport(readFileSync(join(folder, 'maildir', kind, file))),
        ]);
        const facts = (report: Report | undefined) =>
          report?.recipients.map(({ recipient, cause }) => [recipient, cause]);
        expect(facts(other), `${kind}/${file}`).toEqual(facts(one));
      }
    }
  });

  it('what is no bounce is none', async () => {
    for (const file of readdirSync(join(folder, 'maildir', 'not')).filter((name) => name.startsWith('is-not'))) {
      expect(await parseReport(readFileSync(join(folder, 'maildir', 'not', file))), file).toBeUndefined();
    }
  });

  it('pieces and cut reports never throw', async () => {
    for (const file of readdirSync(join(folder, 'maildir', 'err'))) {
      await parseReport(readFileSync(join(folder, 'maildir', 'err', file)));
    }
    for (const { file } of rows.slice(0, 40)) {
      const raw = read(file);
      for (const part of [0.1, 0.4, 0.7]) await parseReport(raw.subarray(0, Math.floor(raw.length * part)));
    }
  });
});
