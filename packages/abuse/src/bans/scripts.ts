import type { Script } from '@waypost/redis';

/** Sorted set of banned networks by when the ban ends, ms. */
export const BANS = 'wp:abuse:bans';
/** What is known of each ban, JSON. */
export const BAN_INFO = 'wp:abuse:ban-info';
/** Sorted set of networks with points, by when they are forgotten, ms. */
export const OFFENDERS = 'wp:abuse:offenders';
/** Their points: `points at times`. */
export const POINTS = 'wp:abuse:points';
/** Channel: `{ network, till }`, till 0 where a ban is lifted. */
export const BAN_NEWS = 'wp:abuse:ban-news';

/** Puts a ban on record and tells all processes. Needs `now`. */
const PUT_BAN = `
local function put(network, till, info, cap)
  for _, gone in ipairs(redis.call('ZRANGEBYSCORE', '${BANS}', '-inf', now, 'LIMIT', 0, 20)) do
    redis.call('ZREM', '${BANS}', gone)
    redis.call('HDEL', '${BAN_INFO}', gone)
  end
  redis.call('ZADD', '${BANS}', string.format('%.0f', till), network)
  redis.call('HSET', '${BAN_INFO}', network, cjson.encode(info))
  if redis.call('ZCARD', '${BANS}') > cap then
    local first = redis.call('ZPOPMIN', '${BANS}')
    redis.call('HDEL', '${BAN_INFO}', first[1])
  end
  redis.call('PUBLISH', '${BAN_NEWS}', cjson.encode({ network = network, till = till }))
end`;

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`;

/**
 * Adds points to a network; where they reach the threshold it is banned, each time for longer.
 *   ARGV network, points, half-life ms, threshold, first duration ms, factor, longest duration ms, remembered ms, entries kept, reason
 *   returns {when the ban ends in ms or 0, 1 where it was made now}
 *
 * Points halve with the half-life. What is forgotten first goes first when there are too many entries.
 */
export const offendScript: Script = {
  name: 'waypostOffend',
  keys: 0,
  lua: `${NOW}
${PUT_BAN}
local network, points, half, threshold = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local cap = tonumber(ARGV[9])
local banned = redis.call('ZSCORE', '${BANS}', network)
if banned and tonumber(banned) > now then return {tonumber(banned), 0} end
local times = 0
local known = redis.call('ZSCORE', '${OFFENDERS}', network)
if known and tonumber(known) > now then
  local had, at, before = string.match(redis.call('HGET', '${POINTS}', network) or '', '^(%S+) (%d+) (%d+)$')
  if had then
    points = points + tonumber(had) * 0.5 ^ (math.max(0, now - tonumber(at)) / half)
    times = tonumber(before)
  end
end
local till = 0
if points >= threshold then
  local duration = math.min(tonumber(ARGV[7]), tonumber(ARGV[5]) * tonumber(ARGV[6]) ^ times)
  till = now + math.floor(duration)
  times = times + 1
  points = 0
  put(network, till, { since = now, reason = ARGV[10], by = 'rule', times = times }, cap)
end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', '${OFFENDERS}', '-inf', now, 'LIMIT', 0, 20)) do
  redis.call('ZREM', '${OFFENDERS}', gone)
  redis.call('HDEL', '${POINTS}', gone)
end
local forgotten = times > 0 and math.max(now, till) + tonumber(ARGV[8]) or now + 10 * half
redis.call('ZADD', '${OFFENDERS}', string.format('%.0f', forgotten), network)
redis.call('HSET', '${POINTS}', network, string.format('%.3f %.0f %d', points, now, times))
if redis.call('ZCARD', '${OFFENDERS}') > cap then
  local first = redis.call('ZPOPMIN', '${OFFENDERS}')
  redis.call('HDEL', '${POINTS}', first[1])
end
return {till, till > 0 and 1 or 0}`,
};

/**
 * Bans a network because someone said so.
 *   ARGV network, duration ms, reason, by, entries kept · returns when it ends, ms
 */
export const banScript: Script = {
  name: 'waypostBan',
  keys: 0,
  lua: `${NOW}
${PUT_BAN}
local till = now + tonumber(ARGV[2])
put(ARGV[1], till, { since = now, reason = ARGV[3], by = ARGV[4], times = 0 }, tonumber(ARGV[5]))
return till`,
};

/** Lifts a ban, and forgets the network's points. ARGV network · returns 1, or 0 where there was none. */
export const unbanScript: Script = {
  name: 'waypostUnban',
  keys: 0,
  lua: `
local gone = redis.call('ZREM', '${BANS}', ARGV[1])
redis.call('HDEL', '${BAN_INFO}', ARGV[1])
redis.call('ZREM', '${OFFENDERS}', ARGV[1])
redis.call('HDEL', '${POINTS}', ARGV[1])
redis.call('PUBLISH', '${BAN_NEWS}', cjson.encode({ network = ARGV[1], till = 0 }))
return gone`,
};
