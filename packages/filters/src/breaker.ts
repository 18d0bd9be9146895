/** `closed` lets calls through, `open` none, `half-open` one that finds out whether the other side is back. */
export type BreakerState = 'closed' | 'half-open' | 'open';

export interface BreakerSettings {
  /** Failures in a row that open it. */
  readonly failures: number;
  /** Milliseconds it stays open before one call may try again. */
  readonly coolDown: number;
}

/**
 * Keeps calls from a service that is down, so that each message does not wait for it anew. It decides by what calls
 * report: no timer runs, and nothing is asked of the service but real work.
 */
export class CircuitBreaker {
  #state: BreakerState = 'closed';
  #failures = 0;
  #openUntil = 0;

  /** @param now milliseconds that never go back. */
  constructor(
    private readonly settings: BreakerSettings,
    private readonly changed: (state: BreakerState) => void,
    private readonly now: () => number,
  ) {}

  get state(): BreakerState {
    return this.#state;
  }

  /** @returns whether a call may be made; each one that may must report how it went. */
  admit(): boolean {
    if (this.#state === 'closed') return true;
    if (this.#state === 'half-open' || this.now() < this.#openUntil) return false;
    this.#become('half-open');
    return true;
  }

  succeeded(): void {
    this.#failures = 0;
    this.#become('closed');
  }

  failed(): void {
    this.#failures += 1;
    if (this.#state === 'closed' && this.#failures < this.settings.failures) return;
    this.#openUntil = this.now() + this.settings.coolDown;
    this.#become('open');
  }

  #become(state: BreakerState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.changed(state);
  }
}
