/** Part of the slots that only lanes without any session may take. */
const RESERVE = 0.2;

/** Sessions a process may have over all lanes. Lanes that find none free stand in line. */
export class SessionSlots {
  #used = 0;
  readonly #line = new Map<string, () => void>();

  constructor(private readonly total: () => number) {}

  /** Whether a lane without a session waits for one. */
  get contended(): boolean {
    return this.#line.size > 0;
  }

  /**
   * @param had sessions the lane has already; it may fill what is not held ready for lanes that have none.
   * @returns how many of `count` it may open.
   */
  take(had: number, count: number): number {
    const free = this.total() - this.#used;
    const more = had > 0 && this.contended ? 0 : Math.min(count, Math.floor(free - this.total() * RESERVE));
    const granted = Math.max(more, had === 0 && free > 0 ? Math.min(1, count) : 0);
    this.#used += granted;
    return granted;
  }

  /** Puts a lane in line; `call` is called once when a slot is free. */
  stand(lane: string, call: () => void): void {
    this.#line.set(lane, call);
  }

  give(count: number): void {
    this.#used -= count;
    for (let left = count; left > 0; left -= 1) {
      const [next] = this.#line;
      if (!next) return;
      this.#line.delete(next[0]);
      next[1]();
    }
  }
}
