import type { Executor } from '@waypost/redis';
import type { BullQueue } from './bull.js';
import { LOCK_DURATION } from './lane-queue.js';

/** Renews the locks of the jobs this process is working on. */
export class HeldJobs {
  readonly #held = new Map<string, { queue: BullQueue; id: string; since: number }>();
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly executor: Executor,
    private readonly token: string,
  ) {}

  start(): void {
    this.#timer = setInterval(() => void this.#renew(), LOCK_DURATION / 4);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  add(queue: BullQueue, id: string): void {
    this.#held.set(queue.jobKey(id), { queue, id, since: Date.now() });
  }

  delete(queue: BullQueue, id: string): void {
    this.#held.delete(queue.jobKey(id));
  }

  get size(): number {
    return this.#held.size;
  }

  async #renew(): Promise<void> {
    const due = Date.now() - LOCK_DURATION / 5;
    const commands = [...this.#held.values()]
      .filter((held) => held.since <= due)
      .map((held) => held.queue.extend(held.id, this.token));
    if (commands.length === 0) return;
    // Redis away: the fence finds out before DATA whether the job was taken over meanwhile.
    await this.executor.exec(commands).catch(() => undefined);
  }
}
