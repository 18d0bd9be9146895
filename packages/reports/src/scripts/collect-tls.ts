import type { Script } from '@waypost/redis';

/**
 * Adds to what is counted of a domain's day under one policy, where a report of it is to be made.
 *   KEYS[1] due · KEYS[2] data: hash of `p <policy>` its JSON, `s <policy>` successes, `f <policy> <detail>` failures
 *   ARGV[1] member · ARGV[2] when the data expires, ms since the epoch · ARGV[3] policies kept at most · ARGV[4] fields kept at
 *   most · ARGV[5] policy · ARGV[6] its JSON · ARGV[7] successes · ARGV[8..] triples: detail, the same in short for when
 *   there is no more room, failures
 *   returns 1, or 0 where there is no report to be made or no room for another policy
 */
export const collectTls: Script = {
  name: 'waypostCollectTls',
  keys: 2,
  lua: `
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
local policy = ARGV[5]
if redis.call('HEXISTS', KEYS[2], 'p ' .. policy) == 0 then
  if redis.call('HINCRBY', KEYS[2], 'policies', 1) > tonumber(ARGV[3]) then return 0 end
  redis.call('HSET', KEYS[2], 'p ' .. policy, ARGV[6])
end
if ARGV[7] ~= '0' then redis.call('HINCRBY', KEYS[2], 's ' .. policy, ARGV[7]) end
for at = 8, #ARGV, 3 do
  local field = 'f ' .. policy .. ' ' .. ARGV[at]
  if redis.call('HEXISTS', KEYS[2], field) == 0 and redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[4]) then
    field = 'f ' .. policy .. ' ' .. ARGV[at + 1]
  end
  redis.call('HINCRBY', KEYS[2], field, ARGV[at + 2])
end
redis.call('PEXPIREAT', KEYS[2], ARGV[2])
return 1`,
};
