import type { Script } from '@waypost/redis';

/**
 * Lets a held message go on through policy.
 *   KEYS[1] record · KEYS[2] stream of events
 *   ARGV[1] event field · ARGV[2] event JSON · ARGV[3] status of each held recipient · ARGV[4] entries the stream keeps
 *   ARGV[5] how far policy is, JSON, '' to judge it from the beginning
 *   returns 1, or 0 where it is not held
 */
export const releaseScript: Script = {
  name: 'waypostRelease',
  keys: 2,
  lua: `
if redis.call('HGET', KEYS[1], 'stage') ~= 'held' then return 0 end
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.match(field, '^r%d+$') and string.sub(redis.call('HGET', KEYS[1], field), 1, 1) == 'p' then
    redis.call('HSET', KEYS[1], field, ARGV[3])
  end
end
if ARGV[5] == '' then redis.call('HDEL', KEYS[1], 'judged') else redis.call('HSET', KEYS[1], 'judged', ARGV[5]) end
redis.call('HSET', KEYS[1], 'stage', 'accepted', ARGV[1], ARGV[2])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', 'e', ARGV[2])
return 1`,
};
