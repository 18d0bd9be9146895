import type { Script } from '@waypost/redis';

/**
 * Says that a replica lives, and takes out those that no longer do. One that was not heard itself lately cannot tell: Redis
 * was away, and the others had no chance to say so either.
 *   KEYS[1] replicas · ARGV[1] replica · ARGV[2] ms it may stay silent · ARGV[3] '1': every other one is known dead, '0': those
 *   silent for too long are, '': none is taken out
 *   returns the replicas taken out, whose jobs the caller gives back; nil where this one was silent itself
 */
export const heartbeat: Script = {
  name: 'waypostHeartbeat',
  keys: 1,
  lua: `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local own = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
if ARGV[3] ~= '1' and (not own or tonumber(own) < now + ARGV[2] / 2) then return false end
if ARGV[3] == '' then return {} end
local dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[3] == '1' and '+inf' or now)
local taken = {}
for _, id in ipairs(dead) do
  if id ~= ARGV[1] then
    redis.call('ZREM', KEYS[1], id)
    taken[#taken + 1] = id
  end
end
return taken`,
};
