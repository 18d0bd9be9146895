/** Octets of messages that checks may have in memory at once; those that find no room wait in line. */
export class ScanMemory {
  #used = 0;
  readonly #waiting: { readonly octets: number; readonly go: () => void }[] = [];

  constructor(private readonly limit: () => number) {}

  /** Resolves when there is room; one message alone always finds it. @returns what gives it back. */
  async take(octets: number): Promise<() => void> {
    if (this.#waiting.length > 0 || !this.#fits(octets)) {
      await new Promise<void>((go) => this.#waiting.push({ octets, go }));
    } else {
      this.#used += octets;
    }
    return () => {
      this.#used -= octets;
      for (let next = this.#waiting[0]; next && this.#fits(next.octets); next = this.#waiting[0]) {
        this.#waiting.shift();
        this.#used += next.octets;
        next.go();
      }
    };
  }

  #fits(octets: number): boolean {
    return this.#used === 0 || this.#used + octets <= this.limit();
  }
}
