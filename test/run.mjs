// Runs every check and test, and closes with their sum. Arguments go to vitest, and then the other checks are left out.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const given = process.argv.slice(2);
const bin = (name) => join(root, 'node_modules/.bin', name);

const CHECKS = [
  ['types', bin('turbo'), ['run', 'build', 'typecheck', '--output-logs=errors-only']],
  ['style', bin('biome'), ['check', '.']],
  [
    'boundaries',
    bin('depcruise'),
    ['--config', '.dependency-cruiser.cjs', 'packages/*/src', 'services/*/src', 'bench/src', 'test'],
  ],
];

let passed = 0;
let failed = 0;

for (const [name, program, args] of given.length > 0 ? [] : CHECKS) {
  process.stdout.write(`\n== ${name}\n`);
  const { status } = spawnSync(program, args, { cwd: root, stdio: 'inherit' });
  if (status === 0) passed += 1;
  else failed += 1;
}

const dir = mkdtempSync(join(tmpdir(), 'waypost-test-'));
const report = join(dir, 'report.json');
process.stdout.write('\n== tests\n');
const { status } = spawnSync(
  bin('vitest'),
  ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...given],
  { cwd: root, stdio: 'inherit' },
);
try {
  const { numPassedTests, numFailedTests, numPendingTests, testResults } = JSON.parse(readFileSync(report, 'utf8'));
  passed += numPassedTests;
  failed += numFailedTests;
  // A suite that could not even start has no failed test of its own.
  failed += testResults.filter((suite) => suite.status === 'failed' && suite.assertionResults.length === 0).length;
  if (numPendingTests > 0) {
    process.stdout.write('\n== skipped\n');
    for (const { assertionResults } of testResults) {
      for (const { status, fullName } of assertionResults) {
        if (status === 'skipped' || status === 'pending') process.stdout.write(`${fullName}\n`);
      }
    }
  }
} catch (error) {
  process.stdout.write(`the tests left no report: ${error.message}\n`);
  failed += 1;
}
rmSync(dir, { recursive: true, force: true });
if (status !== 0 && failed === 0) failed = 1;

process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
process.exit(failed === 0 ? 0 : 1);
