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
  /** Called with the jobs that were given back. */
  readonly onReaped?: (replica: string, jobs: number) => void;
  readonly onError?: (error: Error, context: string) => void;
}

/** Silent for this long, a replica counts as dead, ms; four heartbeats. */
const SILENCE = 20_000;

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
