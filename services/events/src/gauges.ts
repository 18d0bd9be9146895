import { type Depths, laneDepths, type PolicyQueue, policyDepths } from '@waypost/queue';
import type { RedisHandle } from '@waypost/redis';
import type { Runtime } from '@waypost/runtime';

export interface GaugesDeps {
  readonly runtime: Runtime;
  readonly redis: RedisHandle;
  readonly queue: PolicyQueue;
  /** This process, unique for its life. */
  readonly replica: string;
}

const EVERY = 15_000;
/** Who measures goes on doing so for as long as he says so again in time, ms. */
const TURN = 'wp:gauges';
const TURN_LASTS = 2 * EVERY;

/**
 * What is true of the whole cluster and no process knows by itself: how much is in the queues, and Redis's memory. One of the
 * `events` processes measures; the others show nothing.
 */
export class Gauges {
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(private readonly deps: GaugesDeps) {}

  start(): void {
    this.#timer = setInterval(() => this.#next(), EVERY);
    this.#timer.unref();
    this.#next();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
  }

  #next(): void {
    this.#running = this.#running
      .then(() => this.measure())
      .catch((error: Error) =>
        this.deps.runtime.log.debug({ error: error.message }, 'the queues could not be measured'),
      );
  }

  /** Measures, where it is this process's turn. */
  async measure(): Promise<void> {
    const { redis, queue, runtime } = this.deps;
    const { metrics } = runtime;
    if (!(await this.#ours())) return this.#forget();
    const [policy, lanes, memory] = [
      await policyDepths(redis.group, queue),
      await laneDepths(redis.group),
      await redis.memory(),
    ];
    this.#show('policy', policy);
    this.#show('delivery', lanes);
    metrics.lanes.set(lanes.lanes);
    metrics.redisMemory.set(memory.used);
    metrics.redisMemoryMax.set(memory.max);
  }

  #show(queue: string, { waiting, limited, active, delayed, oldest }: Depths): void {
    const { queueJobs, queueOldest } = this.deps.runtime.metrics;
    for (const [state, count] of Object.entries({ waiting, limited, active, delayed }))
      queueJobs.set({ queue, state }, count);
    queueOldest.set({ queue }, oldest / 1000);
  }

  #forget(): void {
    const { queueJobs, queueOldest, lanes, redisMemory, redisMemoryMax } = this.deps.runtime.metrics;
    for (const gauge of [queueJobs, queueOldest, lanes, redisMemory, redisMemoryMax]) gauge.reset();
  }

  async #ours(): Promise<boolean> {
    const { redis, replica } = this.deps;
    const [, holder] = await redis.group.exec([
      { name: 'set', args: [TURN, replica, 'NX', 'PX', TURN_LASTS] },
      { name: 'get', args: [TURN] },
    ]);
    if (String(holder) !== replica) return false;
    await redis.group.exec([{ name: 'pexpire', args: [TURN, TURN_LASTS] }]);
    return true;
  }
}
