import type { Script } from '@waypost/redis';

/**
 * Keeps a caught message and drops the oldest beyond the limit.
 *   KEYS[1] list · KEYS[2] body · ARGV[1] entry JSON · ARGV[2] raw message · ARGV[3] how many stay · ARGV[4] prefix of bodies
 *   returns how many there are
 */
export const sinkScript: Script = {
  name: 'waypostSink',
  keys: 2,
  lua: `
if redis.call('SET', KEYS[2], ARGV[2], 'NX') then redis.call('LPUSH', KEYS[1], ARGV[1]) end
while redis.call('LLEN', KEYS[1]) > tonumber(ARGV[3]) do
  local oldest = cjson.decode(redis.call('RPOP', KEYS[1]))
  redis.call('UNLINK', ARGV[4] .. oldest.key)
end
return redis.call('LLEN', KEYS[1])`,
};
