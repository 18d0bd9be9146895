import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { domainToASCII } from 'node:url';
import { organisationByList } from '@waypost/msgauth';
import { describe, expect, it } from 'vitest';
import { fixtures } from '../../support/fixtures.js';

const FOLDER = 'public-suffix';
const folder = fixtures(FOLDER);

/** Pairs of a name and its organisational domain; `null` for names that are public suffixes. */
function pairs(): [string, string][] {
  if (!folder) return [];
  return (
    readFileSync(join(folder, 'tests.txt'), 'utf8')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('//'))
      .map((line) => line.split(' ') as [string, string])
      // Neither is a name that mail comes from.
      .filter(([name]) => name !== 'null' && !name.startsWith('.'))
  );
}

describe.skipIf(!folder)(`organisational domains (needs ../shared/fixtures/${FOLDER})`, () => {
  it('has its cases', () => {
    expect(pairs().length).toBeGreaterThan(60);
  });

  it.each(pairs())('%s → %s', (name, wanted) => {
    const ascii = domainToASCII(name);
    expect(organisationByList(ascii)).toBe(wanted === 'null' ? ascii : domainToASCII(wanted));
  });
});
