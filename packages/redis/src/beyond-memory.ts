import type { Redis } from 'ioredis';
import type { Command } from './command.js';

/** Redis 7 lets a script that says so write although its memory is full. */
const ALLOWED = '#!lua flags=allow-oom\n';
/** Runs one plain command, ARGV[1] with the others as its arguments; returns its reply. */
const ONE = `${ALLOWED}return redis.call(unpack(ARGV))`;

type Scripts = Record<string, { readonly lua: string; readonly numberOfKeys: number } | undefined>;

/**
 * Runs commands one after another although Redis is at its `maxmemory`: not in a transaction, which it would refuse.
 * @returns the replies, as of a transaction.
 */
export async function beyondMemory(redis: Redis, commands: readonly Command[]): Promise<[Error | null, unknown][]> {
  const { scriptsSet } = redis as unknown as { scriptsSet: Scripts };
  const pipeline = redis.pipeline();
  for (const { name, args, script, binary } of commands) {
    const lua = script?.lua ?? scriptsSet[name]?.lua;
    const keys = script?.keys ?? scriptsSet[name]?.numberOfKeys ?? 0;
    const words = lua === undefined ? [ONE, 0, name, ...args] : [ALLOWED + lua, keys, ...args];
    if (binary) pipeline.callBuffer('EVAL', ...words);
    else pipeline.call('EVAL', ...words);
  }
  return (await pipeline.exec()) ?? [];
}
