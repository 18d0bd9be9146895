import { createHash } from 'node:crypto';
import type { Executor } from '@waypost/redis';
import { windowScript } from './scripts/window.js';

/**
 * Counts something under a limit, over all processes.
 * @param key what is counted; it may hold anything.
 * @param amount 0 only looks.
 * @returns ms until there is room, 0 where there was.
 */
export async function takeWindow(
  executor: Executor,
  key: string,
  { limit, period }: { readonly limit: number; readonly period: number },
  amount: number,
): Promise<number> {
  const name = createHash('sha256').update(key).digest('base64url').slice(0, 22);
  const args = [`wp:window:{${name}}`, period, limit, amount];
  const [wait] = await executor.exec([{ name: windowScript.name, script: windowScript, args }]);
  return Number(wait);
}
