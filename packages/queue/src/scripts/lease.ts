import type { Script } from '@waypost/redis';
import { HELD_BACK, HOLD, LEASE, LEASES, PACE, QUOTA, WAITERS, WINDOW } from '../names.js';

/**
 * A lane counts as held back for this long after it was refused, ms: a rate refuses now and then only. What holds it back may
 * be lifted before its time, and a lane that is refused still asks again every minute.
 */
const HELD_BACK_LEAST = 10_000;
const HELD_BACK_MOST = 75_000;

/**
 * Asks for a lease of a lane and for permits to send, or for permits alone. Of the ways offered the first with room in all
 * its limits is taken. All times are Redis's own.
 *   ARGV[1] JSON: lane, holder, ttl ms a lease lasts, horizon ms that permits may lie ahead, want permits,
 *           lost permits that were not used, lease (false: permits for the lease held), dry (true: only says),
 *           others (true: the lane has ways beside these offers),
 *           offers: { limits: [{ key, connections?, rates: [{ limit, period }] }], scopes: [] }
 *   returns [offer from 1 or 0, permits, ms until the first, µs between them, scope that is probed or '',
 *            what refused: '' | 'suspended' | 'probing' | 'connections' | 'rate' | 'offers', key that refused, ms to wait]
 *
 * Concurrency: a sorted set a key, holder → expiry. Rates by second and minute are spaced evenly (GCRA: the theoretical
 * arrival time of the next message); those by hour and day are quotas in 60 slots of a sliding window. Of several limits the
 * slowest spaces the messages, and each counts them from its own next place, so that a slow site takes no time from others
 * that share a limit with it. A suspension that has ended lets one session through with one message; who succeeds lifts it.
 */
export const acquireLease: Script = {
  name: 'waypostAcquireLease',
  keys: 0,
  lua: `
local req = cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local why, whose, wait = 'offers', '', 60000
local function refuse(reason, key, ms)
  if ms < wait or why == 'offers' then why, whose, wait = reason, key, ms end
end
local function suspended(scope)
  local hold = redis.call('HMGET', '${HOLD}' .. scope, 'till', 'prober', 'probing')
  if not hold[1] then return false end
  local till = tonumber(hold[1])
  if till > now then
    refuse('suspended', scope, till - now)
    return true
  end
  if hold[2] and hold[2] ~= req.holder and tonumber(hold[3]) > now then
    refuse('probing', scope, tonumber(hold[3]) - now)
    return true
  end
  return false, true
end
local function quota(rate, key)
  local slot = rate.period / 60
  local current = math.floor(now / slot)
  local counts = redis.call('HGETALL', key)
  local sum, oldest = 0, current
  for i = 1, #counts, 2 do
    local at = tonumber(counts[i])
    if at > current - 60 then
      sum = sum + counts[i + 1]
      if at < oldest then oldest = at end
    elseif not req.dry then
      redis.call('HDEL', key, counts[i])
    end
  end
  return rate.limit - sum, (oldest + 60) * slot - now, current
end
for index, offer in ipairs(req.offers) do
  local ok, probe, n, delay, interval = true, '', req.want, 0, 0
  for _, scope in ipairs(offer.scopes) do
    local stop, toProbe = suspended(scope)
    if stop then ok = false break end
    if toProbe then probe, n = scope, 1 end
  end
  local spend = {}
  if ok then
    for _, limit in ipairs(offer.limits) do
      for _, rate in ipairs(limit.rates) do
        if rate.period > 60000 then
          local key = '${QUOTA}' .. limit.key .. ':' .. rate.period
          local left, frees, slot = quota(rate, key)
          left = left + (req.lost or 0)
          if left < 1 then
            ok = false
            refuse('rate', limit.key, frees)
          else
            n = math.min(n, left)
            spend[#spend + 1] = { key = key, slot = slot, period = rate.period }
          end
        else
          local key = '${PACE}' .. limit.key .. ':' .. rate.period
          local gap = rate.period / rate.limit
          local ahead = math.max(0, tonumber(redis.call('GET', key) or 0) - (req.lost or 0) * gap - now)
          if ahead > req.horizon then
            ok = false
            refuse('rate', limit.key, ahead - req.horizon / 2)
          else
            n = math.min(n, math.floor((req.horizon - ahead) / gap) + 1)
            delay, interval = math.max(delay, ahead), math.max(interval, gap)
            spend[#spend + 1] = { key = key, gap = gap, ahead = ahead }
          end
        end
      end
    end
  end
  if ok and req.lease then
    for at, limit in ipairs(offer.limits) do
      if limit.connections then
        local key = '${LEASE}' .. limit.key
        local most = limit.connections
        if at == 1 then most = math.min(most, tonumber(redis.call('GET', '${WINDOW}' .. limit.key) or most)) end
        redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
        if redis.call('ZCARD', key) >= most then
          ok = false
          local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
          refuse('connections', limit.key, (tonumber(first[2]) or now + req.ttl) - now)
          if not req.dry then
            redis.call('ZADD', '${WAITERS}' .. limit.key, 'NX', now, req.lane)
            redis.call('PEXPIRE', '${WAITERS}' .. limit.key, 600000)
          end
          break
        end
      end
    end
  end
  if ok then
    if not req.dry then
      if req.lease then
        for _, limit in ipairs(offer.limits) do
          if limit.connections then
            local key = '${LEASE}' .. limit.key
            redis.call('ZADD', key, now + req.ttl, req.holder)
            redis.call('PEXPIRE', key, req.ttl * 2)
            redis.call('SADD', '${LEASES}', limit.key)
          end
        end
      end
      if probe ~= '' then redis.call('HSET', '${HOLD}' .. probe, 'prober', req.holder, 'probing', now + req.ttl) end
      for _, one in ipairs(spend) do
        if one.gap then
          local tat = now + one.ahead + n * one.gap
          redis.call('SET', one.key, string.format('%.3f', tat), 'PX', math.ceil(tat - now) + 1000)
        else
          redis.call('HINCRBY', one.key, one.slot, n - (req.lost or 0))
          redis.call('PEXPIRE', one.key, one.period)
        end
      end
    end
    return { index, n, math.ceil(delay), math.ceil(interval * 1000), probe, '', '', 0 }
  end
end
if not req.dry and not req.others and why ~= 'offers' then
  local held = math.min(${HELD_BACK_MOST}, math.max(wait, ${HELD_BACK_LEAST}))
  redis.call('ZADD', '${HELD_BACK}', 'GT', math.ceil(now + held), req.lane)
  redis.call('PEXPIRE', '${HELD_BACK}', ${HELD_BACK_MOST})
end
return { 0, 0, 0, 0, '', why, whose, math.ceil(wait) }`,
};

/**
 * Prolongs the leases of one process.
 *   ARGV[1] ms they last · then pairs: key of the limit, holder
 *   returns how many still stood
 */
export const renewLeases: Script = {
  name: 'waypostRenewLeases',
  keys: 0,
  lua: `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local kept = 0
for i = 2, #ARGV, 2 do
  local key = '${LEASE}' .. ARGV[i]
  if redis.call('ZSCORE', key, ARGV[i + 1]) then kept = kept + 1 end
  redis.call('ZADD', key, now + ARGV[1], ARGV[i + 1])
  redis.call('PEXPIRE', key, ARGV[1] * 2)
  redis.call('SADD', '${LEASES}', ARGV[i])
end
return kept`,
};

/**
 * Gives a lease back, and calls the lanes that wait for one.
 *   ARGV[1] holder · ARGV[2] channel · ARGV[3] scope it probed or '' · ARGV[4] permits of quotas not used
 *   ARGV[5] those quotas, JSON pairs of key and period · ARGV[6..] keys of its limits
 *   returns how many it still held
 */
export const releaseLease: Script = {
  name: 'waypostReleaseLease',
  keys: 0,
  lua: `
local held = 0
for i = 6, #ARGV do
  local key = '${LEASE}' .. ARGV[i]
  if redis.call('ZREM', key, ARGV[1]) == 1 then
    held = held + 1
    local waiting = redis.call('ZPOPMIN', '${WAITERS}' .. ARGV[i])
    if waiting[1] then redis.call('PUBLISH', ARGV[2], waiting[1]) end
    if redis.call('EXISTS', key) == 0 then redis.call('SREM', '${LEASES}', ARGV[i]) end
  end
end
if ARGV[3] ~= '' and redis.call('HGET', '${HOLD}' .. ARGV[3], 'prober') == ARGV[1] then
  redis.call('HDEL', '${HOLD}' .. ARGV[3], 'prober', 'probing')
end
if tonumber(ARGV[4]) > 0 then
  local now = redis.call('TIME')[1] * 1000
  for _, quota in ipairs(cjson.decode(ARGV[5])) do
    local key = '${QUOTA}' .. quota[1] .. ':' .. quota[2]
    if redis.call('EXISTS', key) == 1 then redis.call('HINCRBY', key, math.floor(now / (quota[2] / 60)), -ARGV[4]) end
  end
end
return held`,
};

/**
 * Takes all leases from a process that died.
 *   ARGV[1] what its holders' names start with · ARGV[2] channel
 *   returns how many there were
 */
export const freeLeases: Script = {
  name: 'waypostFreeLeases',
  keys: 0,
  lua: `
local freed = 0
for _, limit in ipairs(redis.call('SMEMBERS', '${LEASES}')) do
  local key = '${LEASE}' .. limit
  for _, holder in ipairs(redis.call('ZRANGE', key, 0, -1)) do
    if string.sub(holder, 1, #ARGV[1]) == ARGV[1] then
      freed = freed + redis.call('ZREM', key, holder)
      local waiting = redis.call('ZPOPMIN', '${WAITERS}' .. limit)
      if waiting[1] then redis.call('PUBLISH', ARGV[2], waiting[1]) end
    end
  end
  if redis.call('EXISTS', key) == 0 then redis.call('SREM', '${LEASES}', limit) end
end
return freed`,
};
