import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseMail } from '@waypost/mime';
import { checkAttachments, collect, createLookalikeFinder, runHeuristics, SYMBOLS } from '@waypost/spam';
import { describe, expect, it } from 'vitest';
import { fixtures } from '../../support/fixtures.js';

const folder = fixtures('spamassassin-t');
const lookalikes = createLookalikeFinder([]);

function messages(kind: 'spam' | 'nice'): [string, Buffer][] {
  if (!folder) return [];
  return readdirSync(join(folder, kind), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name, parentPath }) => [name, readFileSync(join(parentPath, name))]);
}

/** The score by what the message has in it alone, as of the time at which it came in. */
function score(message: Buffer): number {
  // Some are as they stood in an mbox file.
  const mail = parseMail(
    message.toString('latin1', 0, 5) === 'From ' ? message.subarray(message.indexOf('\n') + 1) : message,
  );
  const at = Date.parse(mail.header('received')?.split(';').at(-1) ?? mail.header('date') ?? '');
  const { found } = runHeuristics({ mail, receivedAt: Number.isNaN(at) ? 0 : at, recipients: [], lookalikes });
  const files = collect();
  checkAttachments(mail, files.report);
  return [...found, ...files.found()].reduce((sum, { symbol }) => sum + SYMBOLS[symbol].score, 0);
}

describe.skipIf(!folder)('heuristics alone on messages of SpamAssassin (fixture spamassassin-t)', () => {
  it('marks none of the good ones', () => {
    const list = messages('nice');
    expect(list.length).toBeGreaterThanOrEqual(42);
    expect(list.filter(([, message]) => score(message) >= 5).map(([name]) => name)).toEqual([]);
  });

  it('refuses every one that has the test pattern, and marks others', () => {
    const list = messages('spam').map(([name, message]) => [name, score(message)] as const);
    expect(list.length).toBeGreaterThanOrEqual(48);
    const refused = list.filter(([, points]) => points >= 15).map(([name]) => name);
    for (const name of ['gtube.eml', 'gtubedcc.eml', 'gtubedcc_crlf.eml']) expect(refused).toContain(name);
    const marked = list.filter(([, points]) => points >= 5 && points < 15);
    expect(marked.length).toBeGreaterThanOrEqual(3);
    console.info(
      `of ${list.length}: ${refused.length} refused, ${marked.length} marked, ${list.filter(([, points]) => points >= 2).length} with 2 points or more`,
    );
  });

  it('says what they cost', () => {
    const list = messages('spam').map(([, message]) => message);
    const rounds = 20;
    for (const message of list) score(message);
    const before = process.cpuUsage();
    for (let round = 0; round < rounds; round++) for (const message of list) score(message);
    const { user, system } = process.cpuUsage(before);
    const octets = list.reduce((sum, { length }) => sum + length, 0) * rounds;
    console.info(`${((user + system) / 1000 / (octets / 10_240)).toFixed(2)} ms of CPU for 10 KB, parsing included`);
    expect(octets).toBeGreaterThan(0);
  });
});
