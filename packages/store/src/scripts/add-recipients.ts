import type { Script } from '@waypost/redis';

/**
 * Notes the recipients that rules added to a message, unless it has ended.
 *   KEYS[1] record · ARGV[1] all of them, JSON · ARGV[2] how many
 *   returns recipients still open
 */
export const addRecipientsScript: Script = {
  name: 'waypostAddRecipients',
  keys: 1,
  lua: `
local open = tonumber(redis.call('HGET', KEYS[1], 'open') or '0')
if open <= 0 then return 0 end
local more = tonumber(ARGV[2]) - tonumber(redis.call('HGET', KEYS[1], 'xn') or '0')
if more <= 0 then return open end
redis.call('HSET', KEYS[1], 'x', ARGV[1], 'xn', ARGV[2])
return redis.call('HINCRBY', KEYS[1], 'open', more)`,
};
