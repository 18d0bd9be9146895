import type { Executor } from '@waypost/redis';
import { giveBack } from './give-back.js';
import { callOthers, laneQueue, wakeLane } from './lane-queue.js';
import { isTokenOf } from './lock-token.js';
import { LANES_DUE, LEASE_FREED, REPLICAS, WAKE_POLICY } from './names.js';
import type { PolicyQueue } from './policy-queue.js';
import { heartbeat } from './scripts/heartbeat.js';
import { freeLeases } from './scripts/lease.js';

export interface PresenceOptions {
  readonly executor: Executor;
  readonly replica: string;
  readonly policy: PolicyQueue;
  /** No other process can be alive: what any other left behind is given back at the start. */
  readonly alone?: boolean;
  /** Silent for this long, a replica counts as dead, ms; four heartbeats. 20 s where left out. */
  readonly silence?: number;
  /** Called with the jobs that were given back. */
  readonly onReaped?: (replica: string, jobs: number) => void;
  readonly onError?: (error: Error, context: string) => void;
}

const SILENCE = 20_000;

/** Says that this replica lives, and gives back the jobs and leases of replicas that died. */
export class Presence {
  #timer: NodeJS.Timeout | undefined;
  /** Since when Redis has heard this replica without a break, ms on the monotonic clock. */
  #heardSince = 0;
  readonly #silence: number;

  constructor(private readonly options: PresenceOptions) {
    this.#silence = options.silence ?? SILENCE;
  }

  async start(): Promise<void> {
    await this.#beat(this.options.alone === true);
    this.#timer = setInterval(() => {
      this.#beat(false).catch((error: Error) => this.options.onError?.(error, 'heartbeat'));
    }, this.#silence / 4);
    this.#timer.unref();
  }

  /** Leaves: after a drain nothing of ours is left to give back. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    const { executor, replica } = this.options;
    await executor.exec([{ name: 'zrem', args: [REPLICAS, replica] }]).catch(() => undefined);
  }

  async #beat(othersAreDead: boolean): Promise<void> {
    // After Redis was away the others first say that they live, and record what they did meanwhile.
    const calm = performance.now() - this.#heardSince > this.#silence / 2;
    const args = [REPLICAS, this.options.replica, this.#silence, othersAreDead ? '1' : calm ? '0' : ''];
    const [dead] = (await this.options.executor.exec([{ name: heartbeat.name, script: heartbeat, args }])) as [
      string[] | null,
    ];
    if (!dead) this.#heardSince = performance.now();
    for (const replica of dead ?? []) await this.#reap(replica);
  }

  async #reap(dead: string): Promise<void> {
    const { executor, policy, onReaped } = this.options;
    const isTheirs = (_id: string, owner: string | null) => isTokenOf(owner, dead) || owner === null;
    let jobs = 0;
    for (const [index, queue] of policy.partitions.entries()) {
      const given = await giveBack(executor, queue, isTheirs);
      jobs += given;
      if (given > 0) await executor.exec([{ name: 'publish', args: [WAKE_POLICY, `${index} 0`] }]);
    }
    const free = { name: freeLeases.name, script: freeLeases, args: [`${dead}#`, LEASE_FREED] };
    const [lanes] = (await executor.exec([{ name: 'zrange', args: [LANES_DUE, 0, -1] }, free])) as [string[]];
    for (const lane of lanes) {
      const given = await giveBack(executor, laneQueue(lane), isTheirs);
      jobs += given;
      await executor.exec([...wakeLane(lane, Date.now(), given), ...(given > 0 ? callOthers(lane, given) : [])]);
    }
    onReaped?.(dead, jobs);
  }
}
