import type { Script } from '@waypost/redis';
import { HOLD, HOLDS, LEASE_FREED, SHAPE_CHANGED, SLOWED, STRIKES, WINDOW } from '../names.js';

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`;

/** Lua: suspends a scope; a suspension that is to be probed is kept past its end until a probe lifts it. */
const SUSPEND = `
local function suspend(scope, ms, reason, by, probe)
  local key = '${HOLD}' .. scope
  local till = now + ms
  redis.call('DEL', key)
  redis.call('HSET', key, 'till', till, 'since', now, 'reason', reason, 'by', by, 'probe', probe)
  redis.call('PEXPIREAT', key, till + (probe == '1' and 86400000 or 0))
  redis.call('ZREMRANGEBYSCORE', '${HOLDS}', '-inf', now - 86400000)
  redis.call('ZADD', '${HOLDS}', till, scope)
  redis.call('PUBLISH', '${SHAPE_CHANGED}', scope)
  return till
end`;

/**
 * Suspends a scope.
 *   ARGV[1] scope · ARGV[2] ms · ARGV[3] reason · ARGV[4] who · ARGV[5] '1': probed before it ends
 *   returns until when, ms
 */
export const suspendScope: Script = {
  name: 'waypostSuspendScope',
  keys: 0,
  lua: `${NOW}
${SUSPEND}
return suspend(ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5])`,
};

/**
 * Lifts a suspension and calls the lanes that it held back.
 *   ARGV[1] scope · ARGV[2] '1': only when its time is over, as a probe went well
 *   returns 1 lifted, 0 there was none
 */
export const liftScope: Script = {
  name: 'waypostLiftScope',
  keys: 0,
  lua: `${NOW}
local key = '${HOLD}' .. ARGV[1]
local till = redis.call('HGET', key, 'till')
if not till or (ARGV[2] == '1' and tonumber(till) > now) then return 0 end
redis.call('DEL', key)
redis.call('ZREM', '${HOLDS}', ARGV[1])
redis.call('PUBLISH', '${SHAPE_CHANGED}', ARGV[1])
redis.call('PUBLISH', '${LEASE_FREED}', '*')
return 1`,
};

/** A scope whose probe fails is suspended for twice as long, up to this many doublings. */
const DOUBLINGS = 4;

/**
 * Counts a reply that a rule looks for, and acts once it came often enough.
 *   ARGV[1] scope · ARGV[2] rule · ARGV[3] how often · ARGV[4] in which time, ms · ARGV[5] 'suspend' or 'slow'
 *   ARGV[6] for how long, ms · ARGV[7] reason · ARGV[8] for 'slow': JSON with connections, rates
 *   returns 1 when it acted
 */
export const strikeScope: Script = {
  name: 'waypostStrikeScope',
  keys: 0,
  lua: `${NOW}
${SUSPEND}
local scope = ARGV[1]
local hold = redis.call('HMGET', '${HOLD}' .. scope, 'till', 'probe', 'doubled')
local probed = ARGV[5] == 'suspend' and hold[2] == '1' and tonumber(hold[1]) <= now
if hold[1] and tonumber(hold[1]) > now then return 0 end
if not probed and tonumber(ARGV[3]) > 1 then
  local key = '${STRIKES}' .. scope .. ' ' .. ARGV[2]
  local count = redis.call('INCR', key)
  if count == 1 then redis.call('PEXPIRE', key, ARGV[4]) end
  if count < tonumber(ARGV[3]) then return 0 end
  redis.call('DEL', key)
end
if ARGV[5] == 'slow' then
  local slow = cjson.decode(ARGV[8])
  slow.till, slow.reason = now + ARGV[6], ARGV[7]
  redis.call('HSET', '${SLOWED}', scope, cjson.encode(slow))
  redis.call('PUBLISH', '${SHAPE_CHANGED}', scope)
  return 1
end
local doubled = probed and math.min(${DOUBLINGS}, (tonumber(hold[3]) or 0) + 1) or 0
suspend(scope, ARGV[6] * 2 ^ doubled, ARGV[7], 'rule', '1')
redis.call('HSET', '${HOLD}' .. scope, 'doubled', doubled)
return 1`,
};

/** The window is halved no more often than this, ms: replies to what was under way say nothing new. */
const CALM = 2_000;

/**
 * Lets a limit have fewer sessions, or more again: half as many after trouble, one more after success.
 *   ARGV[1] key of the limit · ARGV[2] sessions it has by rule · ARGV[3] '1': more
 *   returns the sessions allowed now
 */
export const adjustWindow: Script = {
  name: 'waypostAdjustWindow',
  keys: 0,
  lua: `
local key = '${WINDOW}' .. ARGV[1]
local most = tonumber(ARGV[2])
local window = tonumber(redis.call('GET', key) or most)
if ARGV[3] == '1' then
  window = window + 1
elseif redis.call('SET', key .. ':calm', '1', 'NX', 'PX', ${CALM}) then
  window = math.max(1, math.floor(math.min(window, most) / 2))
end
if window >= most then
  redis.call('DEL', key)
  return most
end
redis.call('SET', key, window, 'PX', 3600000)
return window`,
};
