import type { Script } from '@waypost/redis';

/**
 * Counts in sliding windows, each from two counters: this period's, and the last one's for the part of it that the window
 * still covers. A key lasts two periods after its last use.
 *   ARGV per count: key, period ms, limit or -1, octets or messages to add whatever the limit says, to take within it
 *   returns {0 or the number of the count that refused, ms to wait, estimate of each count}
 *
 * All is taken or nothing is; what is to be added is added in either case.
 */
export const slidingWindow: Script = {
  name: 'waypostSlidingWindow',
  keys: 0,
  lua: `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local counts, refused, wait = {}, 0, 0
for at = 1, #ARGV, 5 do
  local key, period, limit = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local add, take = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local window = math.floor(now / period)
  local current, previous = 0, 0
  local text = redis.call('GET', key)
  if text then
    local seen, last, before = string.match(text, '^(%d+) (%d+) (%d+)$')
    if tonumber(seen) == window then current, previous = tonumber(last), tonumber(before)
    elseif tonumber(seen) == window - 1 then previous = tonumber(last) end
  end
  current = math.max(0, current + add)
  local elapsed = now - window * period
  local estimate = current + previous * (1 - elapsed / period)
  if limit >= 0 and take > 0 and estimate + take > limit then
    local ms = period
    if current + take <= limit then ms = period * (1 - (limit - current - take) / previous) - elapsed
    elseif take <= limit then ms = period - elapsed + period * (1 - (limit - take) / current) end
    if refused == 0 or ms > wait then refused, wait = (at + 4) / 5, math.max(1, math.ceil(ms)) end
  end
  counts[#counts + 1] = { key, period, window, current, previous, add, take, estimate }
end
local reply = { refused, wait }
for _, count in ipairs(counts) do
  local key, period, window, current, previous, add, take, estimate = unpack(count)
  if refused > 0 then take = 0 end
  if add ~= 0 or take ~= 0 then
    redis.call('SET', key, string.format('%.0f %.0f %.0f', window, current + take, previous), 'PX', period * 2)
  end
  reply[#reply + 1] = math.ceil(estimate + take)
end
return reply`,
};
