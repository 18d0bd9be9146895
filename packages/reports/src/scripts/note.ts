import type { Script } from '@waypost/redis';

/**
 * Notes that there is a report to make, unless it is done with already or there are too many.
 *   KEYS[1] due · KEYS[2] those of the day that are done with
 *   ARGV[1] member · ARGV[2] domain · ARGV[3] when it is due, ms since the epoch · ARGV[4] reports kept at most
 *   returns 1 where the report is to be made, else 0
 */
export const noteReport: Script = {
  name: 'waypostNoteReport',
  keys: 2,
  lua: `
if redis.call('SISMEMBER', KEYS[2], ARGV[2]) == 1 then return 0 end
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 1 end
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
return 1`,
};
