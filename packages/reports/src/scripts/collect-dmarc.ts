import type { Script } from '@waypost/redis';

/**
 * Adds to what is counted of a domain's day, where a report of it is to be made.
 *   KEYS[1] due · KEYS[2] data: hash of `p`, the policy that was published last, `r <row>` messages, and `more`, messages whose
 *   rows found no room
 *   ARGV[1] member · ARGV[2] when the data expires, ms since the epoch · ARGV[3] rows kept at most · ARGV[4] policy ·
 *   ARGV[5] messages without a row · ARGV[6..] pairs: row, messages
 *   returns 1, or 0 where there is no report to be made
 */
export const collectDmarc: Script = {
  name: 'waypostCollectDmarc',
  keys: 2,
  lua: `
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
redis.call('HSET', KEYS[2], 'p', ARGV[4])
local more = tonumber(ARGV[5])
local rows = redis.call('HLEN', KEYS[2])
for at = 6, #ARGV, 2 do
  local field = 'r ' .. ARGV[at]
  if redis.call('HEXISTS', KEYS[2], field) == 1 then
    redis.call('HINCRBY', KEYS[2], field, ARGV[at + 1])
  elseif rows < tonumber(ARGV[3]) then
    redis.call('HSET', KEYS[2], field, ARGV[at + 1])
    rows = rows + 1
  else
    more = more + tonumber(ARGV[at + 1])
  end
end
if more > 0 then redis.call('HINCRBY', KEYS[2], 'more', more) end
redis.call('PEXPIREAT', KEYS[2], ARGV[2])
return 1`,
};
