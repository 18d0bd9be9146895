import type { Script } from '@waypost/redis';

/**
 * Counts within a sliding window: what is left of the last period's count by the time passed, and this one's.
 *   KEYS[1] count · ARGV[1] period, ms · ARGV[2] limit · ARGV[3] how many, 0 to look only
 *   returns 0 where there is room (and counts them), else ms until there may be
 */
export const windowScript: Script = {
  name: 'waypostWindow',
  keys: 1,
  lua: `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local period = tonumber(ARGV[1])
local slot = math.floor(now / period)
local counts = redis.call('HMGET', KEYS[1], slot - 1, slot)
local before = tonumber(counts[1] or '0') * (1 - (now % period) / period)
local amount = tonumber(ARGV[3])
if before + tonumber(counts[2] or '0') + math.max(amount, 1) > tonumber(ARGV[2]) then return period - now % period end
if amount == 0 then return 0 end
redis.call('HINCRBY', KEYS[1], slot, amount)
redis.call('HDEL', KEYS[1], slot - 2)
redis.call('PEXPIRE', KEYS[1], 2 * period)
return 0`,
};
