import type { Script } from '@waypost/redis';

/**
 * Says that a report is done with, or is to be taken up again at a time; only its sender can.
 *   KEYS[1] due · KEYS[2] progress · KEYS[3] those of the day that are done with
 *   ARGV[1] token · ARGV[2] member · ARGV[3] domain · ARGV[4] ms from now, '' where it is done with · ARGV[5] what went
 *   wrong · ARGV[6] 1 to keep the claim · ARGV[7] how long it is known that it is done with, ms
 *   returns 1, or 0 where another one has taken it over
 */
export const settleReport: Script = {
  name: 'waypostSettleReport',
  keys: 3,
  lua: `
if redis.call('HGET', KEYS[2], 'token') ~= ARGV[1] then return 0 end
if ARGV[4] == '' then
  redis.call('ZREM', KEYS[1], ARGV[2])
  redis.call('DEL', KEYS[2])
  redis.call('SADD', KEYS[3], ARGV[3])
  redis.call('PEXPIRE', KEYS[3], ARGV[7])
  return 1
end
local time = redis.call('TIME')
local at = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[4])
redis.call('ZADD', KEYS[1], string.format('%.0f', at), ARGV[2])
if ARGV[5] ~= '' then redis.call('HSET', KEYS[2], 'error', ARGV[5]) end
if ARGV[6] ~= '1' then redis.call('HDEL', KEYS[2], 'token') end
return 1`,
};
