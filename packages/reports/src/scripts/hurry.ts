import type { Script } from '@waypost/redis';

/**
 * Makes a report due at once, unless it is being sent.
 *   KEYS[1] due · KEYS[2] progress
 *   ARGV[1] member
 *   returns 1; 0 where there is no such report; -1 where it is being sent
 */
export const hurryReport: Script = {
  name: 'waypostHurryReport',
  keys: 2,
  lua: `
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
if redis.call('HEXISTS', KEYS[2], 'token') == 1 then return -1 end
redis.call('ZADD', KEYS[1], 0, ARGV[1])
return 1`,
};
