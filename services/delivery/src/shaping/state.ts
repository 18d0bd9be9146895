import type { LaneJob } from '@waypost/mail';
import {
  holdOf,
  type MailHold,
  readMailHolds,
  readSlowed,
  SHAPE_CHANGED,
  type Slowed,
  withSlowed,
} from '@waypost/queue';
import type { RedisHandle } from '@waypost/redis';
import type { Offer } from '@waypost/shaping';

/** What this process knows of limits that are narrowed and of mail that is held back for now; kept fresh by messages, not by asking. */
export class ShapeState {
  #slowed = new Map<string, Slowed>();
  #mailHolds: readonly MailHold[] = [];
  /** Limits that feedback has narrowed lately, and the successes since. */
  readonly #narrowed = new Map<string, { successes: number; steps: number }>();

  constructor(
    private readonly redis: RedisHandle,
    private readonly onError: (error: Error) => void,
    /** Told of a scope whose terms have changed, once they are known here. */
    private readonly onChanged: (scope: string) => void = () => undefined,
  ) {}

  async start(): Promise<void> {
    const { subscriber, group } = this.redis;
    subscriber.on('message', this.#onMessage);
    subscriber.on('ready', this.#read);
    // The two come back on their own: what was said meanwhile is read by whichever is the second.
    group.on('available', this.#read);
    await subscriber.subscribe(SHAPE_CHANGED);
    await this.#read();
  }

  stop(): void {
    const { subscriber, group } = this.redis;
    subscriber.off('message', this.#onMessage);
    subscriber.off('ready', this.#read);
    group.off('available', this.#read);
  }

  /** @returns the offer with what its scopes are slowed to. */
  apply(offer: Offer): Offer {
    return withSlowed(offer, this.#slowed);
  }

  /** @returns the hold that an operator has put on mail of this kind, if any. */
  holdOf(job: LaneJob): MailHold | undefined {
    return this.#mailHolds.length === 0 ? undefined : holdOf(this.#mailHolds, job, Date.now());
  }

  /** Notes trouble with a limit. */
  narrowed(key: string): void {
    this.#narrowed.set(key, { successes: 0, steps: 0 });
  }

  /**
   * Notes a success.
   * @param most sessions that the limit's rule allows: after as many steps it must be as wide again.
   * @returns whether it is time to widen the limit again by one.
   */
  succeeded(key: string, most: number): boolean {
    const state = this.#narrowed.get(key);
    if (state === undefined) return false;
    state.successes = (state.successes + 1) % SUCCESSES;
    if (state.successes > 0) return false;
    state.steps += 1;
    if (state.steps >= most) this.#narrowed.delete(key);
    return true;
  }

  readonly #onMessage = (channel: string, scope: string): void => {
    if (channel === SHAPE_CHANGED) void this.#read().then(() => this.onChanged(scope));
  };

  readonly #read = async (): Promise<void> => {
    try {
      const { group } = this.redis;
      if (!group.available) return;
      [this.#slowed, this.#mailHolds] = await Promise.all([readSlowed(group), readMailHolds(group)]);
    } catch (error) {
      this.onError(error as Error);
    }
  };
}

/** Messages that must go well before a narrowed limit gets one session more. */
const SUCCESSES = 10;
