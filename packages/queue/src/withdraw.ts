import type { Command, Script } from '@waypost/redis';
import { laneQueue } from './lane-queue.js';

/**
 * Takes a job out of its lane, unless it is being sent.
 *   KEYS[1] wait · KEYS[2] paused · KEYS[3] delayed · KEYS[4] job · KEYS[5] its lock · ARGV[1] its id
 *   returns 1 taken out · 0 being sent, or not there
 */
const withdrawScript: Script = {
  name: 'waypostWithdraw',
  keys: 5,
  lua: `
if redis.call('EXISTS', KEYS[5]) == 1 then return 0 end
local out = redis.call('LREM', KEYS[1], 1, ARGV[1]) + redis.call('LREM', KEYS[2], 1, ARGV[1]) + redis.call('ZREM', KEYS[3], ARGV[1])
if out == 0 then return 0 end
redis.call('DEL', KEYS[4])
return 1`,
};

/** @returns the command that takes a job out of its lane; its reply is 1 where it was there and nobody had it. */
export function withdraw(lane: string, jobId: string): Command {
  const queue = laneQueue(lane);
  const keys = [
    queue.key('wait'),
    queue.key('paused'),
    queue.key('delayed'),
    queue.jobKey(jobId),
    `${queue.jobKey(jobId)}:lock`,
  ];
  return { name: withdrawScript.name, script: withdrawScript, args: [...keys, jobId] };
}
