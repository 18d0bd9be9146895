import type { Script } from '@waypost/redis';

/**
 * Asks for one lease of a lane.
 *   KEYS[1] leases · ARGV[1] holder · ARGV[2] leases there may be · ARGV[3] ms it lasts without renewal
 *   returns 1 granted, 0 all taken
 */
export const acquireLease: Script = {
  name: 'waypostAcquireLease',
  keys: 1,
  lua: `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3] * 2)
return 1`,
};

/**
 * Prolongs the leases of one holder in one lane.
 *   KEYS[1] leases · ARGV[1] ms they last · ARGV[2..] holders
 *   returns how many still stood
 */
export const renewLeases: Script = {
  name: 'waypostRenewLeases',
  keys: 1,
  lua: `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local kept = 0
for i = 2, #ARGV do
  if redis.call('ZSCORE', KEYS[1], ARGV[i]) then kept = kept + 1 end
  redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i])
end
redis.call('PEXPIRE', KEYS[1], ARGV[1] * 2)
return kept`,
};

/**
 * Gives one lease back and tells others if the lane was full.
 *   KEYS[1] leases · ARGV[1] holder · ARGV[2] leases there may be · ARGV[3] channel · ARGV[4] lane
 *   returns leases left
 */
export const releaseLease: Script = {
  name: 'waypostReleaseLease',
  keys: 1,
  lua: `
local held = redis.call('ZCARD', KEYS[1])
if redis.call('ZREM', KEYS[1], ARGV[1]) == 1 then
  if held >= tonumber(ARGV[2]) then redis.call('PUBLISH', ARGV[3], ARGV[4]) end
  held = held - 1
end
return held`,
};
