import type { Script } from '@waypost/redis';

/**
 * Looks whether a lane still has work; where it has none, removes what BullMQ leaves behind.
 *   KEYS[1] wait · KEYS[2] active · KEYS[3] delayed · KEYS[4] paused · KEYS[5..] housekeeping keys
 *   returns -1 empty and removed · 0 work is waiting · otherwise when the next is due, ms, or 1 when jobs are only active
 */
export const retireLane: Script = {
  name: 'waypostRetireLane',
  keys: 10,
  lua: `
if redis.call('LLEN', KEYS[1]) > 0 or redis.call('LLEN', KEYS[4]) > 0 then return 0 end
local nextJob = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
if nextJob[2] then return math.floor(tonumber(nextJob[2]) / 0x1000) end
if redis.call('LLEN', KEYS[2]) > 0 then return 1 end
for i = 5, #KEYS do redis.call('DEL', KEYS[i]) end
return -1`,
};
