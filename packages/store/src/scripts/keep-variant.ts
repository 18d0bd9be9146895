import type { Script } from '@waypost/redis';

/**
 * Notes another form of a message, and keeps its body where that is inline, unless the message has ended.
 *   KEYS[1] record · KEYS[2] inline body of this form
 *   ARGV[1] its name, kind and size as `variantText` writes them · ARGV[2] the inline body, '' for none
 *   returns 1, or 0 where the message has ended
 */
export const keepVariantScript: Script = {
  name: 'waypostKeepVariant',
  keys: 2,
  lua: `
if tonumber(redis.call('HGET', KEYS[1], 'open') or '0') <= 0 then return 0 end
local known = redis.call('HGET', KEYS[1], 'v')
if not known then redis.call('HSET', KEYS[1], 'v', ARGV[1])
elseif not string.find(known, ARGV[1], 1, true) then redis.call('HSET', KEYS[1], 'v', known .. ' ' .. ARGV[1]) end
if ARGV[2] ~= '' then redis.call('SET', KEYS[2], ARGV[2]) end
return 1`,
};

/** Lua: drops the inline bodies of a record's forms; the names of record and body are in KEYS[1] and KEYS[2]. */
export const dropVariants = `
for name in string.gmatch(redis.call('HGET', KEYS[1], 'v') or '', '(%x+)/inline') do redis.call('UNLINK', KEYS[2] .. ':' .. name) end`;
