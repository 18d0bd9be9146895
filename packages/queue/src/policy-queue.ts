import type { Command } from '@waypost/redis';
import { BullQueue } from './bull.js';
import { LOCK_DURATION } from './lane-queue.js';
import { POLICY_PREFIX, WAKE_POLICY } from './names.js';

/** What a policy job carries: the messages that were committed together. */
export interface PolicyJob {
  readonly ids: readonly string[];
}

/** The policy queue: partitions that a cluster spreads. One job carries the messages of one group commit. */
export class PolicyQueue {
  readonly partitions: readonly BullQueue[];
  #next = Math.floor(Math.random() * 1024);

  constructor(partitions: number) {
    this.partitions = Array.from(
      { length: partitions },
      (_, i) => new BullQueue({ prefix: POLICY_PREFIX, name: `policy-${i}`, lockDuration: LOCK_DURATION }),
    );
  }

  /**
   * Adds one job for these messages.
   * @param jobId unique; defaults to the first message's id.
   * @param at ms since the epoch before which it must not run; 0 for at once.
   */
  add(ids: readonly string[], options: { jobId?: string; at?: number } = {}): Command[] {
    const at = options.at ?? 0;
    const now = Date.now();
    const index = this.#next++ % this.partitions.length;
    const queue = this.partitions[index] as BullQueue;
    const job: PolicyJob = { ids };
    return [
      queue.limitEvents(),
      queue.add(options.jobId ?? String(ids[0]), JSON.stringify(job), at > now ? at - now : 0),
      { name: 'publish', args: [WAKE_POLICY, `${index} ${at > now ? at : 0}`] },
    ];
  }
}
