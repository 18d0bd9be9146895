import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { normaliseLineEnds } from '@waypost/mail';
import { type ArcFinding, checkArc, createBodyHashes, createKeyCache, readSection } from '@waypost/msgauth';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { fixtures } from '../../support/fixtures.js';
import { textResolver } from '../../support/zone-data.js';

const FOLDER = 'arc-valimail';

interface Scenario {
  readonly description: string;
  readonly tests: Readonly<Record<string, { readonly message: string; readonly cv: string }>>;
  readonly 'txt-records': Readonly<Record<string, string>>;
}

/** Cases in which the suite wants what the RFC does not allow. */
const NOT_FOLLOWED: Readonly<Record<string, string>> = {
  ams_fields_h_empty:
    'wants a signature that signs no field to pass; h= has one name at least (RFC 6376 §3.5), and From must be among them (§5.4)',
};

const folder = fixtures(FOLDER);

function scenarios(): Scenario[] {
  if (!folder) return [];
  const text = readFileSync(join(folder, 'arc-draft-validation-tests.yml'), 'utf8');
  const documents = parseAllDocuments(text, { uniqueKeys: false });
  return 'empty' in documents ? [] : documents.map((document) => document.toJS() as Scenario);
}

async function validate(message: string, texts: Readonly<Record<string, string>>): Promise<ArcFinding> {
  const section = readSection(normaliseLineEnds(Buffer.from(message)));
  if (!section) throw new Error('the header section is too large');
  const deps = { resolve: textResolver(texts), keys: createKeyCache(), now: Date.now };
  return checkArc(section, createBodyHashes(section), { minBits: 1024 }, deps);
}

/** What the suite calls a result; of a chain that its sealer has given up it wants no result at all. */
const called = ({ result, ended }: ArcFinding) => (ended ? '' : result);

describe.skipIf(!folder)(`ARC, the validation suite of ValiMail (needs ../shared/fixtures/${FOLDER})`, () => {
  const all = scenarios();

  it('has all its cases', () => {
    expect(all.flatMap(({ tests }) => Object.keys(tests))).toHaveLength(171);
  });

  for (const scenario of all) {
    describe(scenario.description, () => {
      it.each(Object.entries(scenario.tests))('%s', async (name, { message, cv }) => {
        const found = await validate(message ?? '', scenario['txt-records'] ?? {});
        const wanted = cv.trim().toLowerCase();
        if (name in NOT_FOLLOWED) expect(called(found), NOT_FOLLOWED[name]).not.toBe(wanted);
        else expect(called(found), found.reason).toBe(wanted);
        // RFC 8617 §5.2, step 2: such a chain has failed.
        if (wanted === '') expect(found.result).toBe('fail');
      });
    });
  }
});
