import type { Script } from '@waypost/redis';

/**
 * Says that a replica lives, and takes out those that no longer do.
 *   KEYS[1] replicas · ARGV[1] replica · ARGV[2] ms it may stay silent · ARGV[3] '1': every other one is known dead
 *   returns the replicas taken out; the caller gives their jobs back
 */
export const heartbeat: Script = {
  name: 'waypostHeartbeat',
  keys: 1,
  lua: `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[3] == '1' and '+inf' or now)
local taken = {}
for _, id in ipairs(dead) do
  if id ~= ARGV[1] then
    redis.call('ZREM', KEYS[1], id)
    taken[#taken + 1] = id
  end
end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
return taken`,
};
