import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkSpf } from '@waypost/msgauth';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { fixtures } from '../../support/fixtures.js';
import { type ZoneData, zoneResolver } from '../../support/zone-data.js';

const FOLDER = 'spf-rfc7208';

interface Scenario {
  readonly description: string;
  readonly tests: Readonly<Record<string, Case>>;
  readonly zonedata: ZoneData;
}

interface Case {
  readonly helo: string;
  readonly host: string;
  readonly mailfrom: string;
  readonly result: string | readonly string[];
  readonly explanation?: string;
}

const folder = fixtures(FOLDER);

function scenarios(): Scenario[] {
  if (!folder) return [];
  const text = readFileSync(join(folder, 'rfc7208-tests.yml'), 'utf8');
  const documents = parseAllDocuments(text, { uniqueKeys: false });
  if ('empty' in documents) return [];
  return documents.map((document) => document.toJS() as Scenario | null).filter((scenario) => scenario !== null);
}

const lowered = (zone: ZoneData) =>
  Object.fromEntries(Object.entries(zone).map(([name, all]) => [name.toLowerCase(), all]));

describe.skipIf(!folder)(`SPF, the RFC 7208 suite (needs ../shared/fixtures/${FOLDER})`, () => {
  const all = scenarios();

  it('has all its cases', () => {
    expect(all.flatMap(({ tests }) => Object.keys(tests))).toHaveLength(203);
  });

  for (const { description, tests, zonedata } of all) {
    describe(description, () => {
      const resolve = zoneResolver(lowered(zonedata));
      it.each(Object.entries(tests))('%s', async (_, { helo, host, mailfrom, result, explanation }) => {
        const found = await checkSpf({ ip: host, helo, sender: mailfrom, resolve, receiver: 'receiver.example.org' });
        expect([result].flat()).toContain(found.result);
        // Names of DNS in it may have any case.
        const told = found.explanation?.toLowerCase();
        if (explanation && explanation !== 'DEFAULT') expect(told).toBe(explanation.toLowerCase());
        if (explanation === 'DEFAULT') expect(told).toBeUndefined();
      });
    });
  }
});
