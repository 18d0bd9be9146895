/** Octets of messages that are in memory and not committed, over all listeners of the process. */
export class InFlight {
  #octets = 0;

  constructor(private readonly limit: () => number) {}

  get octets(): number {
    return this.#octets;
  }

  /** Whether another message may start. */
  hasRoom(): boolean {
    return this.#octets < this.limit();
  }

  add(octets: number): void {
    this.#octets += octets;
  }

  remove(octets: number): void {
    this.#octets -= octets;
  }
}
