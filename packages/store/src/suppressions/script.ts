import type { Script } from '@waypost/redis';

/**
 * Puts an address on the list of suppressions, unless it must happen more often first. Those that have expired go along the way.
 *   KEYS[1] list, a hash · KEYS[2] field → expiry, a sorted set · KEYS[3] incidents of this address, a set
 *   ARGV[1] field · ARGV[2] entry, JSON · ARGV[3] expiry, ms since the epoch, 0 for never · ARGV[4] entries at most
 *   ARGV[5] now, ms since the epoch · ARGV[6] how often it must have happened · ARGV[7] within how many ms
 *   ARGV[8] 1 where it replaces what is there whatever that is · ARGV[9] the incident, counted once
 *   returns 1 on the list · 0 not yet · -1 the list is full · 2 it was there for longer
 */
export const suppressScript: Script = {
  name: 'waypostSuppress',
  keys: 3,
  lua: `
for _, field in ipairs(redis.call('ZRANGE', KEYS[2], '-inf', ARGV[5], 'BYSCORE', 'LIMIT', 0, 100)) do
  redis.call('HDEL', KEYS[1], field)
  redis.call('ZREM', KEYS[2], field)
end
if tonumber(ARGV[6]) > 1 then
  local times = redis.call('SCARD', KEYS[3])
  if redis.call('SADD', KEYS[3], ARGV[9]) == 1 then
    times = times + 1
    if times == 1 then redis.call('PEXPIRE', KEYS[3], ARGV[7]) end
  end
  if times < tonumber(ARGV[6]) then return 0 end
  redis.call('DEL', KEYS[3])
end
local there = redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1
if there and ARGV[8] ~= '1' then
  local till = redis.call('ZSCORE', KEYS[2], ARGV[1])
  if not till or (ARGV[3] ~= '0' and tonumber(till) >= tonumber(ARGV[3])) then return 2 end
end
if not there and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then return -1 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if ARGV[3] == '0' then redis.call('ZREM', KEYS[2], ARGV[1]) else redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1]) end
return 1`,
};
