import type { Script } from '@waypost/redis';
import { dropVariants } from './keep-variant.js';

/**
 * Records transitions of a message's recipients; one that is terminal already is left as it is, so that a repeated call
 * changes nothing; nor does a late one change the stage of a message that has ended. With the last recipient terminal
 * the inline bodies go and the record starts to expire.
 *   KEYS[1] record · KEYS[2] inline body · KEYS[3] messages with a recipient whose outcome is unknown, a sorted set by time
 *   ARGV[1] ms the record is kept afterwards · ARGV[2] new stage, or '' · ARGV[3] number of events · ARGV[4] number of fields
 *   ARGV[5] message id · ARGV[6] now, ms since the epoch
 *   ARGV[..] event field, event JSON pairs · then other field, value pairs ('' for one that goes, as a job that is over) ·
 *   then recipient field, status pairs
 *   returns recipients still open, or -1 where there is no such record
 */
export const settleScript: Script = {
  name: 'waypostSettle',
  keys: 3,
  lua: `
local record = KEYS[1]
local open = tonumber(redis.call('HGET', record, 'open'))
if not open then return -1 end
local over = open <= 0
local at = 7
for i = 1, tonumber(ARGV[3]) do
  redis.call('HSET', record, ARGV[at], ARGV[at + 1])
  at = at + 2
end
for i = 1, tonumber(ARGV[4]) do
  if ARGV[at + 1] == '' then redis.call('HDEL', record, ARGV[at]) else redis.call('HSET', record, ARGV[at], ARGV[at + 1]) end
  at = at + 2
end
if ARGV[2] == 'accepted' then
  -- It goes through policy again, which makes its jobs anew.
  for _, field in ipairs(redis.call('HKEYS', record)) do
    if string.match(field, '^j%d+$') then redis.call('HDEL', record, field) end
  end
end
local ended, unknown = 0, 0
while at < #ARGV do
  local before = redis.call('HGET', record, ARGV[at])
  if not before or string.sub(before, 1, 1) ~= 't' then
    redis.call('HSET', record, ARGV[at], ARGV[at + 1])
    local after = string.sub(ARGV[at + 1], 1, 1)
    if after == 't' then ended = ended + 1 end
    if after == 'u' then unknown = unknown + 1 end
    if before and string.sub(before, 1, 1) == 'u' then unknown = unknown - 1 end
  end
  at = at + 2
end
if unknown ~= 0 then
  if redis.call('HINCRBY', record, 'unknown', unknown) > 0 then redis.call('ZADD', KEYS[3], 'NX', ARGV[6], ARGV[5])
  else redis.call('ZREM', KEYS[3], ARGV[5]) end
end
if ended > 0 then open = redis.call('HINCRBY', record, 'open', -ended) end
if over then return open end
if open <= 0 then
  redis.call('HSET', record, 'stage', 'done')
  redis.call('UNLINK', KEYS[2])${dropVariants}
  redis.call('PEXPIRE', record, ARGV[1])
elseif ARGV[2] ~= '' then
  redis.call('HSET', record, 'stage', ARGV[2])
end
return open`,
};
