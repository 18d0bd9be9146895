import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { authenticate, createKeyCache } from '@waypost/msgauth';
import { describe, expect, it } from 'vitest';
import { fixtures } from '../../support/fixtures.js';
import { zoneResolver } from '../../support/zone-data.js';

const FOLDER = 'mime-mail-parser';
const folder = fixtures(FOLDER);

function files(path: string): string[] {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.eml'))
    .map((entry) => join(entry.parentPath, entry.name));
}

describe.skipIf(!folder)(`malformed mail (needs ../shared/fixtures/${FOLDER})`, () => {
  it('is judged without a throw, as it is and cut off anywhere', async () => {
    const all = files(folder ?? '');
    expect(all).toHaveLength(107);
    const deps = {
      resolve: zoneResolver({}),
      keys: createKeyCache(),
      settings: { minBits: 1024, maxSignatures: 10, partialBody: false, orgDomain: 'psl', authserv: 'mx' },
    } as const;
    for (const file of all) {
      const whole = readFileSync(file);
      for (const end of [whole.length, whole.length >> 1, whole.length >> 3, 1, 0]) {
        const message = whole.subarray(0, end);
        const found = await authenticate({ message, remoteAddress: '::1', helo: 'x', sender: 'a@example.com' }, deps);
        expect(found.header, file).toMatch(/^mx;\r\n\tdkim=/);
      }
    }
  });
});
