import type { Script } from '@waypost/redis';

/**
 * Picks out the messages that may have fallen between the stages, so that those that wait in order cost no more than a look
 * inside Redis: of those that are routed, the ones with a job that is in no lane.
 *   ARGV[1] what the keys of lane queues start with · ARGV[2..] keys of records
 *   returns pairs of key and stage
 */
export const suspects: Script = {
  name: 'waypostSuspects',
  keys: 0,
  lua: `
local found = {}
for at = 2, #ARGV do
  local record = ARGV[at]
  local stage = redis.call('HGET', record, 'stage')
  local suspect = stage == 'accepted' or stage == 'scheduled'
  if stage == 'routed' then
    local jobs = 0
    for _, field in ipairs(redis.call('HKEYS', record)) do
      local first = string.match(field, '^j(%d+)$')
      if first then
        jobs = jobs + 1
        local lane = string.gsub(redis.call('HGET', record, field), ':', '/')
        local id = string.match(record, '{(.*)}')
        if redis.call('EXISTS', ARGV[1] .. ':{' .. lane .. '}:' .. id .. '.' .. first) == 0 then suspect = true end
      end
    end
    if jobs == 0 then suspect = true end
  end
  if suspect then
    found[#found + 1] = record
    found[#found + 1] = stage
  end
end
return found`,
};
