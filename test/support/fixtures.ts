import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

const ROOT = process.env.WAYPOST_FIXTURES ?? resolve(import.meta.dirname, '../../../shared/fixtures');

/** @returns the folder of public test data, or undefined where it is not on this machine. */
export function fixtures(name: string): string | undefined {
  const path = join(ROOT, name);
  return existsSync(path) ? path : undefined;
}
