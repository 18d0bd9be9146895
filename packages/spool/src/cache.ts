/** Bodies kept in memory up to a number of octets; those not asked for longest go first. */
export class BodyCache {
  readonly #bodies = new Map<string, Buffer>();
  #octets = 0;

  constructor(private readonly limit: number) {}

  put(id: string, body: Buffer): void {
    if (body.length > this.limit) return;
    this.forget(id);
    this.#bodies.set(id, body);
    this.#octets += body.length;
    for (const oldest of this.#bodies.keys()) {
      if (this.#octets <= this.limit) break;
      this.forget(oldest);
    }
  }

  get(id: string): Buffer | undefined {
    const body = this.#bodies.get(id);
    if (!body) return undefined;
    // A Map keeps the order of insertion: what is used goes to its end.
    this.#bodies.delete(id);
    this.#bodies.set(id, body);
    return body;
  }

  forget(id: string): void {
    const body = this.#bodies.get(id);
    if (!body) return;
    this.#bodies.delete(id);
    this.#octets -= body.length;
  }
}
