import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { missing } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixtures } from '../../support/fixtures.js';

const archive = fixtures('spam-spamassassin-corpus');
const lacking = missing('tar', 'xz');

const MAIN = resolve(import.meta.dirname, '../../../services/waypost/dist/main.js');
const exec = promisify(execFile);

interface Figures {
  readonly auc: number;
  readonly recall: { falsePositives: number; recall: number }[];
}

describe.skipIf(!archive || lacking.length > 0)(
  'the classifier on spam-spamassassin-corpus (needs it, tar and xz)',
  () => {
    let corpus: string;
    beforeAll(async () => {
      corpus = mkdtempSync(join(tmpdir(), 'waypost-corpus-'));
      await exec('tar', ['xJf', join(archive ?? '', 'spamassassin-corpus.tar.xz'), '-C', corpus]);
    });
    afterAll(() => rmSync(corpus, { recursive: true, force: true }));

    it('finds 95 % of the spam of folders it never saw, taking 0.1 % of ham for it at most', {
      timeout: 300_000,
    }, async () => {
      const command = [MAIN, 'spam', 'evaluate', '--corpus', corpus, '--split', 'folder', '--json'];
      const { stdout } = await exec(process.execPath, command);
      const figures = JSON.parse(stdout) as Figures;
      expect(figures.recall.find(({ falsePositives }) => falsePositives === 0.001)?.recall).toBeGreaterThanOrEqual(
        0.95,
      );
      expect(figures.auc).toBeGreaterThanOrEqual(0.998);
    });
  },
);
