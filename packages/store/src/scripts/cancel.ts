import type { Script } from '@waypost/redis';
import { dropVariants } from './keep-variant.js';

/**
 * Cancels a message that no lane has yet.
 *   KEYS[1] record · KEYS[2] inline body · KEYS[3] stream of events
 *   ARGV[1] ms the record is kept · ARGV[2] event field · ARGV[3] event JSON · ARGV[4] status of each open recipient
 *   ARGV[5] entries the stream keeps
 *   returns the meta JSON and the forms' names when canceled, 0 too late, -1 no such message
 */
export const cancelScript: Script = {
  name: 'waypostCancel',
  keys: 3,
  lua: `
local stage = redis.call('HGET', KEYS[1], 'stage')
if not stage then return -1 end
if stage ~= 'accepted' and stage ~= 'scheduled' and stage ~= 'held' then return 0 end
local meta = redis.call('HGET', KEYS[1], 'm')
local added = tonumber(redis.call('HGET', KEYS[1], 'xn') or '0')
for i = 0, #cjson.decode(meta).envelope.recipients + added - 1 do
  local before = redis.call('HGET', KEYS[1], 'r' .. i)
  if not before or string.sub(before, 1, 1) ~= 't' then redis.call('HSET', KEYS[1], 'r' .. i, ARGV[4]) end
end
redis.call('HSET', KEYS[1], 'stage', 'canceled', 'open', 0, ARGV[2], ARGV[3])
redis.call('UNLINK', KEYS[2])${dropVariants}
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[5], '*', 'e', ARGV[3])
return {meta, redis.call('HGET', KEYS[1], 'v') or ''}`,
};
