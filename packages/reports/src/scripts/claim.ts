import type { Script } from '@waypost/redis';

/**
 * Gives one report that is due to one sender, until it is done or has been silent for the length of a lease.
 *   KEYS[1] due
 *   ARGV[1] what the keys of progress start with · ARGV[2] the sender's token · ARGV[3] lease, ms · ARGV[4] how long
 *   progress is kept, ms
 *   returns member, tries with this one, first try (ms since the epoch), then the places that have the report; or, where
 *   none is due, '' and when the next one is ('' for never)
 */
export const claimReport: Script = {
  name: 'waypostClaimReport',
  keys: 1,
  lua: `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local member = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1)[1]
if not member then
  return { '', redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] or '' }
end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[3])), member)
local progress = ARGV[1] .. member
redis.call('HSETNX', progress, 'since', string.format('%.0f', now))
redis.call('HSET', progress, 'token', ARGV[2])
local found = { member, redis.call('HINCRBY', progress, 'tries', 1), redis.call('HGET', progress, 'since') }
redis.call('PEXPIRE', progress, ARGV[4])
for _, field in ipairs(redis.call('HKEYS', progress)) do
  if string.sub(field, 1, 3) == 'to ' then found[#found + 1] = string.sub(field, 4) end
end
return found`,
};
