/** A permit is lost when it is not used this long after its time, ms: used in a heap later, they would break the limit. */
const SLACK = 100;
/** Permits asked for at once by a session that uses them up in time. */
const MOST = 20;

/** The permits of one session: when each of its next messages may go, on this process's monotonic clock. */
export class Permits {
  #due: number[] = [];
  #gap = 0;
  /** How many to ask for next. */
  want = 1;
  /** Permits that were not used in time since the last were asked for: they count as not given. */
  #lost = 0;
  /** Whether the last ones were given for at once: the rate is not used up. */
  slack = true;

  /**
   * @param count permits granted.
   * @param delay ms until the first.
   * @param gap ms between them; 0 where only quotas limit, whose permits do not age.
   */
  grant(count: number, delay: number, gap: number): void {
    const first = performance.now() + delay;
    this.#gap = gap;
    this.slack = delay === 0;
    this.#due.push(...Array.from({ length: count }, (_, at) => first + at * gap));
    // All of them due soon: the session works faster than it asks.
    this.want = delay < SLACK ? Math.min(MOST, this.want * 2) : 1;
  }

  /** @returns ms until the next message may go, or undefined where a permit must be asked for. */
  wait(): number | undefined {
    const now = performance.now();
    const slack = Math.max(SLACK, this.#gap);
    while (this.#gap > 0 && this.#due[0] !== undefined && this.#due[0] + slack < now) {
      this.#due.shift();
      this.#lost += 1;
      this.want = 1;
    }
    return this.#due[0] === undefined ? undefined : Math.max(0, this.#due[0] - now);
  }

  /** @returns the permits lost, which are then told of. */
  takeLost(): number {
    const lost = this.#lost;
    this.#lost = 0;
    return lost;
  }

  spend(): void {
    this.#due.shift();
  }

  /** Permits that were not used and not told of: quotas get them back, however old they are. */
  get unused(): number {
    return this.#due.length + this.#lost;
  }
}
