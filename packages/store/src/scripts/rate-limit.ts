import type { Script } from '@waypost/redis';

/**
 * Takes tokens of a window.
 *   KEYS[1] window · ARGV[1] tokens wanted · ARGV[2] tokens a window has · ARGV[3] ms kept
 *   returns {granted, left}
 */
export const takeTokens: Script = {
  name: 'waypostTakeTokens',
  keys: 1,
  lua: `
local used = tonumber(redis.call('GET', KEYS[1]) or '0')
local granted = math.min(tonumber(ARGV[1]), tonumber(ARGV[2]) - used)
if granted <= 0 then return {0, 0} end
redis.call('INCRBY', KEYS[1], granted)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {granted, tonumber(ARGV[2]) - used - granted}`,
};
