import type { SessionSlots } from './session-slots.js';

/** A lane's sessions that wait for work with their lease and connection kept; the last one in is the first one out. */
export class IdleSessions {
  readonly #waiting: ((work: boolean) => void)[] = [];

  /** @param idle how long a session waits, ms. */
  constructor(
    private readonly slots: SessionSlots,
    private readonly idle: number,
  ) {}

  /** Sends as many as `count` back to work. @returns for how many jobs there was none. */
  wake(count: number): number {
    let left = count;
    while (left > 0 && this.#waiting.length > 0) {
      this.#waiting.pop()?.(true);
      left -= 1;
    }
    return left;
  }

  /** Ends all. */
  dismiss(): void {
    for (const resume of this.#waiting.splice(0)) resume(false);
  }

  /**
   * Waits for work.
   * @param nextAt when a delayed job is due as far as is known, ms since the epoch, else infinity.
   * @returns whether there is work; false once it was idle for long enough.
   */
  wait(nextAt: number): Promise<boolean> {
    const { idle, slots } = this;
    const due = Math.max(0, nextAt - Date.now());
    return new Promise((resolve) => {
      const resume = (work: boolean) => {
        clearTimeout(timer);
        slots.deleteIdle(makeRoom);
        resolve(work);
      };
      const leave = (work: boolean) => {
        this.#waiting.splice(this.#waiting.indexOf(resume), 1);
        resume(work);
      };
      const makeRoom = () => leave(false);
      const timer = setTimeout(() => leave(due <= idle), Math.min(idle, due));
      this.#waiting.push(resume);
      slots.addIdle(makeRoom);
    });
  }
}
