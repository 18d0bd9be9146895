import type { Script } from '@waypost/redis';

/**
 * Notes on a message what a report says of one of its recipients, once for each report: not where the report has been dealt
 * with already. States stay as they are. A message whose record has expired has its event in the stream alone.
 *   KEYS[1] record of the message · KEYS[2] record of the report · KEYS[3] stream of events
 *   ARGV[1] event field · ARGV[2] event JSON · ARGV[3] entries the stream keeps · ARGV[4] field of the note, '' for none
 *   ARGV[5] note JSON · ARGV[6] field that counts reports on this recipient · ARGV[7] how many are noted at most
 *   returns 1 noted · 0 not
 */
export const noteScript: Script = {
  name: 'waypostNote',
  keys: 3,
  lua: `
local waits = tonumber(redis.call('HGET', KEYS[2], 'open') or '0')
if waits <= 0 then return 0 end
if redis.call('EXISTS', KEYS[1]) == 1 then
  if redis.call('HINCRBY', KEYS[1], ARGV[6], 1) > tonumber(ARGV[7]) then return 0 end
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], ARGV[4], ARGV[5]) end
end
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*', 'e', ARGV[2])
return 1`,
};
