import type { Script } from '@waypost/redis';

/**
 * Creates a message's record and inline body unless it has a record.
 *   KEYS[1] record · KEYS[2] inline body
 *   ARGV[1] the inline body, '' for none · ARGV[2..] fields and values of the record
 *   returns 1, or 0 where there was a record
 */
export const createOnceScript: Script = {
  name: 'waypostCreateOnce',
  keys: 2,
  lua: `
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
if ARGV[1] ~= '' then redis.call('SET', KEYS[2], ARGV[1]) end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 1`,
};
