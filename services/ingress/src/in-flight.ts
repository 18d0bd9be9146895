/** Octets of messages that are in memory and not committed, over all listeners and the HTTP API of the process. */
export class InFlight {
  #octets = 0;

  /**
   * @param limit past which no further message may start.
   * @param onChange told the new sum.
   */
  constructor(
    private readonly limit: () => number,
    private readonly onChange: (octets: number) => void = () => undefined,
  ) {}

  /** Whether another message may start. */
  hasRoom(): boolean {
    return this.#octets < this.limit();
  }

  add(octets: number): void {
    this.#octets += octets;
    this.onChange(this.#octets);
  }

  remove(octets: number): void {
    this.add(-octets);
  }
}
