import type { Script } from '@waypost/redis';

/** Hash a credential: hour, count, mean, peak, hours, alarmed, held. */
export const HABIT = 'wp:habit:';
/** Sorted set of credentials by when they last sent, ms. */
export const HABITS = 'wp:habits';
/** Hash of credentials that are held: until when, ms. */
export const HELD = 'wp:habits:held';
/** Channel: `{ credential, till }`, till 0 where it may send again. */
export const HELD_NEWS = 'wp:habits:news';

/**
 * Adds to what credentials sent in this hour, and looks whether that is far more than their habit.
 *   ARGV[1] ms of an hour, [2] weight of an hour in the mean, [3] what is left of a peak after an hour, [4] factor,
 *   [5] least that is an anomaly, [6] ms a credential is held then or 0, [7] ms a habit is kept, [8] habits kept at most,
 *   then credential and amount, as often as wanted
 *   returns for each {1 where it is one now, count of the hour, what it may be, held until ms or 0}
 *
 * The habit is the exponentially weighted mean of hours, corrected for its beginning, and a peak that fades. An hour counts into
 * it up to what it might have been, so that an anomaly is no habit the next day.
 */
export const observeScript: Script = {
  name: 'waypostObserve',
  keys: 0,
  lua: `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local period, alpha, fade = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local factor, least, hold = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local kept, most = tonumber(ARGV[7]), tonumber(ARGV[8])
local hour = math.floor(now / period)
local reply = {}
for at = 9, #ARGV, 2 do
  local credential, amount = ARGV[at], tonumber(ARGV[at + 1])
  local key = '${HABIT}' .. credential
  local known = redis.call('HMGET', key, 'hour', 'count', 'mean', 'peak', 'hours', 'alarmed')
  local last = tonumber(known[1]) or hour
  local count, mean, peak, hours = tonumber(known[2]) or 0, tonumber(known[3]) or 0, tonumber(known[4]) or 0, tonumber(known[5]) or 0
  local alarmed = tonumber(known[6]) or -1
  local function allowed()
    local corrected = hours > 0 and mean / (1 - (1 - alpha) ^ hours) or 0
    return math.max(least, factor * corrected, 2 * peak)
  end
  local passed = math.min(hour - last, 100000)
  if passed > 0 then
    local counted = math.min(count, allowed())
    mean = (mean + alpha * (counted - mean)) * (1 - alpha) ^ (passed - 1)
    peak = math.max(peak * fade, counted) * fade ^ (passed - 1)
    hours = hours + passed
    count = 0
  end
  count = count + amount
  local limit = allowed()
  local anomaly = count > limit and alarmed ~= hour
  local till = tonumber(redis.call('HGET', '${HELD}', credential)) or 0
  if anomaly then
    alarmed = hour
    if hold > 0 then
      till = now + hold
      redis.call('HSET', '${HELD}', credential, string.format('%.0f', till))
      redis.call('PUBLISH', '${HELD_NEWS}', cjson.encode({ credential = credential, till = till }))
    end
  end
  redis.call('HSET', key, 'hour', math.max(hour, last), 'count', count, 'mean', string.format('%.4f', mean),
    'peak', string.format('%.4f', peak), 'hours', hours, 'alarmed', alarmed)
  redis.call('PEXPIRE', key, kept)
  redis.call('ZADD', '${HABITS}', string.format('%.0f', now), credential)
  reply[#reply + 1] = { anomaly and 1 or 0, count, math.floor(limit + 0.5), till > now and till or 0 }
end
while redis.call('ZCARD', '${HABITS}') > most do
  redis.call('DEL', '${HABIT}' .. redis.call('ZPOPMIN', '${HABITS}')[1])
end
return reply`,
};

/**
 * Lets a credential send again, and takes what it sent in this hour for its habit from now on.
 *   ARGV credential · returns 1, or 0 where nothing is known of it
 */
export const acceptScript: Script = {
  name: 'waypostAcceptHabit',
  keys: 0,
  lua: `
local key = '${HABIT}' .. ARGV[1]
redis.call('HDEL', '${HELD}', ARGV[1])
redis.call('PUBLISH', '${HELD_NEWS}', cjson.encode({ credential = ARGV[1], till = 0 }))
local known = redis.call('HMGET', key, 'count', 'peak')
if not known[1] then return 0 end
redis.call('HSET', key, 'peak', math.max(tonumber(known[1]), tonumber(known[2])))
redis.call('HDEL', key, 'alarmed')
return 1`,
};
