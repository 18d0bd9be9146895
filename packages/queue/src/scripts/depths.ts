import type { Script } from '@waypost/redis';
import { HELD_BACK } from '../names.js';

/**
 * Adds up a page of queues inside Redis.
 *   ARGV[1] ms since the epoch · ARGV[2] what the keys of each queue start with, before its name · ARGV[3..] names of queues
 *   returns [waiting, waiting in queues that a limit or a suspension holds back, active, delayed,
 *            when the oldest job that nothing holds back came, ms since the epoch, or 0]
 */
export const depthsScript: Script = {
  name: 'waypostDepths',
  keys: 0,
  lua: `
local waiting, limited, active, delayed, oldest = 0, 0, 0, 0, 0
for at = 3, #ARGV do
  local key = ARGV[2] .. ':{' .. ARGV[at] .. '}:'
  local count = redis.call('LLEN', key .. 'wait')
  active = active + redis.call('LLEN', key .. 'active')
  delayed = delayed + redis.call('ZCARD', key .. 'delayed')
  if count > 0 then
    local till = redis.call('ZSCORE', '${HELD_BACK}', (string.gsub(ARGV[at], '/', ':')))
    if till and tonumber(till) > tonumber(ARGV[1]) then
      limited = limited + count
    else
      waiting = waiting + count
      local came = tonumber(redis.call('HGET', key .. redis.call('LINDEX', key .. 'wait', -1), 'timestamp') or '0')
      if came > 0 and (oldest == 0 or came < oldest) then oldest = came end
    end
  end
end
return {waiting, limited, active, delayed, oldest}`,
};
