import type { Command, GroupCommit } from '@waypost/redis';
import type { BullQueue } from './bull.js';
import { giveBack } from './give-back.js';
import { LOCK_DURATION } from './lane-queue.js';
import { isTokenOf } from './lock-token.js';

export interface HeldJobsOptions {
  readonly group: GroupCommit;
  /** What our tokens on locks begin with: `lockToken`. */
  readonly replica: string;
  readonly onError?: (error: Error, context: string) => void;
}

/**
 * The jobs this process is working on: renews their locks, and gives back those it holds without knowing, because the
 * answer that named them was lost with the connection to Redis.
 */
export class HeldJobs {
  readonly #held = new Map<string, { queue: BullQueue; id: string; token: string; since: number }>();
  readonly #suspects = new Map<BullQueue, () => Command[]>();
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly options: HeldJobsOptions) {}

  start(): void {
    this.#timer = setInterval(() => void this.#renew(), LOCK_DURATION / 4);
    this.#timer.unref();
    this.options.group.on('available', this.#recover);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.options.group.off('available', this.#recover);
  }

  add(queue: BullQueue, id: string, token: string): void {
    this.#held.set(queue.jobKey(id), { queue, id, token, since: Date.now() });
  }

  /** Does nothing where the job was taken anew from here meanwhile. */
  delete(queue: BullQueue, id: string, token: string): void {
    const key = queue.jobKey(id);
    if (this.#held.get(key)?.token === token) this.#held.delete(key);
  }

  get size(): number {
    return this.#held.size;
  }

  /**
   * Notes that an answer from a queue was lost, so that we may hold a job of it unknowingly.
   * @param wake tells who serves the queue that a job is back.
   */
  suspect(queue: BullQueue, wake: () => Command[]): void {
    this.#suspects.set(queue, wake);
  }

  readonly #recover = (): void => {
    for (const [queue, wake] of this.#suspects) {
      this.#giveBack(queue, wake).then(
        () => this.#suspects.delete(queue),
        // Redis went away again: it is looked at when it is back.
        (error: Error) => this.options.onError?.(error, 'giving back jobs whose taking was not heard of'),
      );
    }
  };

  async #giveBack(queue: BullQueue, wake: () => Command[]): Promise<void> {
    const { group, replica } = this.options;
    // Asked after the owners were read: what was taken before that is in our list by then.
    const isOrphan = (id: string, owner: string | null) =>
      isTokenOf(owner, replica) && this.#held.get(queue.jobKey(id))?.token !== owner;
    if ((await giveBack(group, queue, isOrphan)) > 0) await group.exec(wake());
  }

  async #renew(): Promise<void> {
    // An answer can be lost without the connection, too, as when replicas do not confirm.
    if (this.#suspects.size > 0 && this.options.group.available) this.#recover();
    const due = Date.now() - LOCK_DURATION / 5;
    const commands = [...this.#held.values()]
      .filter((held) => held.since <= due)
      .map((held) => held.queue.extend(held.id, held.token));
    if (commands.length === 0) return;
    // Redis away: the fence finds out before DATA whether the job was taken over meanwhile.
    await this.options.group.exec(commands).catch(() => undefined);
  }
}
