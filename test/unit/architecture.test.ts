import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');
const sources = globSync('{packages,services}/*/src/**/*.ts', { cwd: ROOT }).filter(
  (file) => !file.includes('testkit'),
);
const holding = (pattern: RegExp) =>
  sources.filter((file) => pattern.test(readFileSync(join(ROOT, file), 'utf8'))).sort();

describe('rules that the import checker cannot see', () => {
  it('looks at all sources', () => {
    expect(sources.length).toBeGreaterThan(100);
  });

  it('one file reads the environment', () => {
    expect(holding(/\bprocess\.env\b/)).toEqual(['packages/config/src/environment.ts']);
  });

  it('only a main ends the process', () => {
    expect(holding(/\bprocess\.(?:exit\b|exitCode\s*=)/)).toEqual(['services/waypost/src/main.ts']);
  });

  it('no file is longer than 400 lines', () => {
    const long = sources.filter((file) => readFileSync(join(ROOT, file), 'utf8').split('\n').length > 400);
    expect(long).toEqual([]);
  });
});
