/** Part of the slots that only lanes without any session may take. */
const RESERVE = 0.2;

/**
 * Sessions a process may have over all lanes. Idle ones are kept as long as nobody needs their slot: the one that is idle
 * for longest makes room first. Lanes that find none free stand in line.
 */
export class SessionSlots {
  #used = 0;
  readonly #line = new Map<string, () => void>();
  /** What ends an idle session, the one idle for longest first. */
  readonly #idle = new Set<() => void>();

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

  /** Puts a lane in line, and has an idle session make room; `call` is called once when a slot is free. */
  stand(lane: string, call: () => void): void {
    this.#line.set(lane, call);
    const [dismiss] = this.#idle;
    if (!dismiss) return;
    this.#idle.delete(dismiss);
    dismiss();
  }

  /** Notes an idle session. @param dismiss ends it, and is called once at most. */
  addIdle(dismiss: () => void): void {
    this.#idle.add(dismiss);
  }

  /** Notes that a session is idle no longer. */
  deleteIdle(dismiss: () => void): void {
    this.#idle.delete(dismiss);
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
