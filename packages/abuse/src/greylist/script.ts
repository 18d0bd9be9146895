import type { Script } from '@waypost/redis';

/** Sorted set of what is known, by when it is forgotten, ms: triplets, and clients as `c:<network>`. */
export const GREY = 'wp:grey';
/** When a triplet was seen first, or `ok`; how often a client came again. */
export const GREY_STATE = 'wp:grey:state';

/**
 * Looks whether a triplet may pass.
 *   ARGV triplet, client, delay ms, ms within which it must come again, ms it is known once it did,
 *        times a client must come again to be let in without, entries kept
 *   returns {1 where it may, 0; ms to wait}
 *
 * Both sets are bounded: past the entries allowed, what is forgotten soonest goes first, which is what never came again.
 */
export const greyScript: Script = {
  name: 'waypostGrey',
  keys: 0,
  lua: `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local triplet, client = ARGV[1], 'c:' .. ARGV[2]
local delay, within, lifetime = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local enough, cap = tonumber(ARGV[6]), tonumber(ARGV[7])
local function known(name)
  local till = redis.call('ZSCORE', '${GREY}', name)
  return till and tonumber(till) > now and redis.call('HGET', '${GREY_STATE}', name) or nil
end
local function keep(name, state, ms)
  redis.call('ZADD', '${GREY}', string.format('%.0f', now + ms), name)
  redis.call('HSET', '${GREY_STATE}', name, state)
end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', '${GREY}', '-inf', now, 'LIMIT', 0, 20)) do
  redis.call('ZREM', '${GREY}', gone)
  redis.call('HDEL', '${GREY_STATE}', gone)
end
local times = tonumber(known(client) or '0')
if enough > 0 and times >= enough then
  keep(client, times, lifetime)
  return {1, 0}
end
local state = known(triplet)
if state == 'ok' then
  keep(triplet, 'ok', lifetime)
  return {1, 0}
end
local since = tonumber(state or '') or now
local wait = since + delay - now
if state and wait <= 0 then
  keep(triplet, 'ok', lifetime)
  keep(client, times + 1, lifetime)
else
  if not state then keep(triplet, string.format('%.0f', now), within) end
end
while redis.call('ZCARD', '${GREY}') > cap do
  local first = redis.call('ZPOPMIN', '${GREY}')
  redis.call('HDEL', '${GREY_STATE}', first[1])
end
if state and wait <= 0 then return {1, 0} end
return {0, wait}`,
};
