import type { Script } from '@waypost/redis';

/**
 * Takes one lesson in, unless it is known or there were too many. Weights and lessons are in two generations: once the newer
 * one is full it becomes the older, and the one before it goes; so what is kept is bounded, and what is taught again stays.
 *   KEYS[1] newer weights · [2] older weights · [3] newer lessons · [4] older lessons · [5] count of the hour
 *   ARGV[1] class · [2] digest · [3] weights of a generation · [4] lessons of a generation · [5] lessons an hour, 0 for any
 *   [6] most a weight may be · [7] channel · [8] whose · then a feature and its change each
 *   returns 1 learned · 0 known · -1 too many this hour
 */
export const learnScript: Script = {
  name: 'waypostLearn',
  keys: 5,
  lua: `
local known = redis.call('HGET', KEYS[3], ARGV[2]) or redis.call('HGET', KEYS[4], ARGV[2])
if known == ARGV[1] then return 0 end
local hourly = tonumber(ARGV[5])
if hourly > 0 then
  local count = redis.call('INCR', KEYS[5])
  if count == 1 then redis.call('EXPIRE', KEYS[5], 3600) end
  if count > hourly then return -1 end
end
local features = (#ARGV - 8) / 2
local full = redis.call('HLEN', KEYS[1]) + features > tonumber(ARGV[3])
if full or redis.call('HLEN', KEYS[3]) >= tonumber(ARGV[4]) then
  redis.call('UNLINK', KEYS[2], KEYS[4])
  if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('RENAME', KEYS[1], KEYS[2]) end
  if redis.call('EXISTS', KEYS[3]) == 1 then redis.call('RENAME', KEYS[3], KEYS[4]) end
end
local most = tonumber(ARGV[6])
for at = 9, #ARGV, 2 do
  local weight = redis.call('HINCRBY', KEYS[1], ARGV[at], ARGV[at + 1])
  if weight > most then redis.call('HSET', KEYS[1], ARGV[at], most)
  elseif weight < -most then redis.call('HSET', KEYS[1], ARGV[at], -most) end
end
redis.call('HSET', KEYS[3], ARGV[2], ARGV[1])
redis.call('PUBLISH', ARGV[7], ARGV[8])
return 1`,
};
