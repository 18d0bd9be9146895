import type { Executor } from '@waypost/redis';
import type { BullQueue } from './bull.js';
import { laneQueue, wakeLane } from './lane-queue.js';
import { LANES_DUE, leaseKey, REPLICAS, WAKE_POLICY } from './names.js';
import type { PolicyQueue } from './policy-queue.js';
import { heartbeat } from './scripts/heartbeat.js';

export interface PresenceOptions {
  readonly executor: Executor;
  readonly replica: string;
  readonly policy: PolicyQueue;
  /** No other process can be alive: what any other left behind is given back at the start. */
  readonly alone?: boolean;
  /** Called with the jobs that were given back. */
  readonly onReaped?: (replica: string, jobs: number) => void;
  readonly onError?: (error: Error, context: string) => void;
}

/** Silent for this long, a replica counts as dead, ms; four heartbeats. */
const SILENCE = 20_000;
const ACTIVE_READ = 10_000;

/** Says that this replica lives, and gives back the jobs and leases of replicas that died. */
export class Presence {
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly options: PresenceOptions) {}

  async start(): Promise<void> {
    await this.#beat(this.options.alone === true);
    this.#timer = setInterval(() => {
      this.#beat(false).catch((error: Error) => this.options.onError?.(error, 'heartbeat'));
    }, SILENCE / 4);
    this.#timer.unref();
  }

  /** Leaves: after a drain nothing of ours is left to give back. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    const { executor, replica } = this.options;
    await executor.exec([{ name: 'zrem', args: [REPLICAS, replica] }]).catch(() => undefined);
  }

  async #beat(othersAreDead: boolean): Promise<void> {
    const args = [REPLICAS, this.options.replica, SILENCE, othersAreDead ? '1' : '0'];
    const [dead] = (await this.options.executor.exec([{ name: heartbeat.name, script: heartbeat, args }])) as [
      string[],
    ];
    for (const replica of dead) await this.#reap(replica);
  }

  async #reap(dead: string): Promise<void> {
    const { executor, policy, onReaped } = this.options;
    let jobs = 0;
    for (const [index, queue] of policy.partitions.entries()) {
      const given = await this.#giveBack(queue, dead);
      jobs += given;
      if (given > 0) await executor.exec([{ name: 'publish', args: [WAKE_POLICY, `${index} 0`] }]);
    }
    const [lanes] = (await executor.exec([{ name: 'zrange', args: [LANES_DUE, 0, -1] }])) as [string[]];
    for (const lane of lanes) {
      await this.#freeLeases(lane, dead);
      const given = await this.#giveBack(laneQueue(lane), dead);
      jobs += given;
      await executor.exec(wakeLane(lane, Date.now(), given));
    }
    onReaped?.(dead, jobs);
  }

  /** Removes the dead one's locks and lets BullMQ move the jobs back to waiting. */
  async #giveBack(queue: BullQueue, dead: string): Promise<number> {
    const { executor } = this.options;
    const [active] = (await executor.exec([{ name: 'lrange', args: [queue.key('active'), 0, ACTIVE_READ] }])) as [
      string[],
    ];
    if (active.length === 0) return 0;
    const owners = (await executor.exec(active.map((id) => queue.owner(id)))) as (string | null)[];
    const lost = active.filter((_, at) => owners[at] === dead || owners[at] === null);
    if (lost.length === 0) return 0;
    const unlock = lost.map((id) => ({ name: 'del', args: [`${queue.jobKey(id)}:lock`] }));
    // The first pass marks jobs without a lock, the second moves those still without.
    await executor.exec([...unlock, queue.recoverStalled()]);
    await executor.exec([{ name: 'del', args: [queue.key('stalled-check')] }, queue.recoverStalled()]);
    return lost.length;
  }

  async #freeLeases(lane: string, dead: string): Promise<void> {
    const { executor } = this.options;
    const [holders] = (await executor.exec([{ name: 'zrange', args: [leaseKey(lane), 0, -1] }])) as [string[]];
    const theirs = holders.filter((holder) => holder.startsWith(`${dead}#`));
    if (theirs.length > 0) await executor.exec([{ name: 'zrem', args: [leaseKey(lane), ...theirs] }]);
  }
}
