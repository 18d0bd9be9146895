import type { Script } from '@waypost/redis';

/**
 * Looks whether a lane still has work that nobody here does. Where it has none, removes what BullMQ leaves behind and takes the
 * lane from the set of those with work; else notes when it has work next, and tells who answers for it.
 *   KEYS[1] wait · KEYS[2] active · KEYS[3] delayed · KEYS[4] paused · KEYS[5] lanes with work · KEYS[6..] housekeeping keys
 *   ARGV[1] lane · ARGV[2] when to look again if all its jobs are under way, ms since the epoch · ARGV[3] channel
 *   returns -1 empty and removed · 0 work is waiting · otherwise when the next is due, ms
 */
export const retireLane: Script = {
  name: 'waypostRetireLane',
  keys: 11,
  lua: `
if redis.call('LLEN', KEYS[1]) > 0 or redis.call('LLEN', KEYS[4]) > 0 then return 0 end
local at = -1
local nextJob = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
if nextJob[2] then
  at = math.floor(tonumber(nextJob[2]) / 0x1000)
elseif redis.call('LLEN', KEYS[2]) > 0 then
  at = tonumber(ARGV[2])
end
if at >= 0 then
  redis.call('ZADD', KEYS[5], string.format('%.0f', at), ARGV[1])
  redis.call('PUBLISH', ARGV[3], '1 ' .. string.format('%.0f', at) .. ' ' .. ARGV[1])
  return at
end
redis.call('DEL', unpack(KEYS, 6))
redis.call('ZREM', KEYS[5], ARGV[1])
return -1`,
};
