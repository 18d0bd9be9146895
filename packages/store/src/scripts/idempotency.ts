import type { Script } from '@waypost/redis';

/**
 * Claims an idempotency key.
 *   KEYS[1] claim · ARGV[1] body hash · ARGV[2] message ids JSON · ARGV[3] now, ms · ARGV[4] ms a claim lasts · ARGV[5] ms kept
 *   returns {new, ids} · {replay, answer} · {in_flight, ''} · {mismatch, ''}
 */
export const claimScript: Script = {
  name: 'waypostClaim',
  keys: 1,
  lua: `
local known = redis.call('HMGET', KEYS[1], 'hash', 'answer', 'ids', 'until')
if known[1] then
  if known[1] ~= ARGV[1] then return {'mismatch', ''} end
  if known[2] then return {'replay', known[2]} end
  if tonumber(known[4]) > tonumber(ARGV[3]) then return {'in_flight', ''} end
  redis.call('HSET', KEYS[1], 'until', ARGV[3] + ARGV[4])
  return {'new', known[3]}
end
redis.call('HSET', KEYS[1], 'hash', ARGV[1], 'ids', ARGV[2], 'until', ARGV[3] + ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return {'new', ARGV[2]}`,
};

/**
 * Keeps the answer to a claimed request.
 *   KEYS[1] claim · ARGV[1] answer · ARGV[2] ms kept
 *   returns 1, or 0 where the claim is gone
 */
export const finishScript: Script = {
  name: 'waypostFinish',
  keys: 1,
  lua: `
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'answer', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1`,
};
