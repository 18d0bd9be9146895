import type { RedisHandle } from '@waypost/redis';
import type { Layer } from './layer.js';
import { LESSONS, type Lessons } from './store.js';

/** Tenants whose layers one process holds, and weights of all of them; the one that was asked for longest ago goes. */
const HELD = 1_000;
const WEIGHTS = 1_000_000;
/** Between two readings of one layer at least, ms: lessons come in rows. */
const PAUSE = 1_000;

interface Held {
  layer: Promise<Layer>;
  readAt: number;
  stale: boolean;
  /** Weights in it, once it is read. */
  size: number;
}

/** What was taught, as this process knows it: read when it is first asked for, and again after news of lessons. */
export class Layers {
  readonly #held = new Map<string, Held>();

  constructor(
    private readonly subscriber: RedisHandle['subscriber'],
    private readonly lessons: Pick<Lessons, 'read'>,
  ) {}

  async start(): Promise<void> {
    this.subscriber.on('message', this.#onMessage);
    this.subscriber.on('ready', this.#onReady);
    await this.subscriber.subscribe(LESSONS);
  }

  stop(): void {
    this.subscriber.off('message', this.#onMessage);
    this.subscriber.off('ready', this.#onReady);
  }

  /**
   * @returns the layers that mail of a tenant goes by: what was taught for everybody, and by the tenant.
   * @throws as Executor.exec, where a layer was never read.
   */
  async of(tenant: string | undefined): Promise<Layer[]> {
    const everybody = this.#get(undefined);
    return tenant === undefined ? [await everybody] : Promise.all([everybody, this.#get(tenant)]);
  }

  async #get(tenant: string | undefined, now = Date.now()): Promise<Layer> {
    const name = tenant === undefined ? '*' : `t:${tenant}`;
    const held = this.#held.get(name);
    this.#held.delete(name);
    if (held && !(held.stale && now - held.readAt >= PAUSE)) {
      this.#held.set(name, held);
      return held.layer;
    }
    const fresh: Held = { layer: this.lessons.read(tenant), readAt: now, stale: false, size: 0 };
    this.#held.set(name, fresh);
    try {
      const layer = await fresh.layer;
      fresh.size = layer.size;
      this.#letGo();
      return layer;
    } catch (error) {
      // What is known stays in force; what is not is asked for again.
      if (this.#held.get(name) === fresh) this.#held.delete(name);
      if (!held) throw error;
      this.#held.set(name, held);
      return held.layer;
    }
  }

  #letGo(): void {
    let weights = 0;
    for (const { size } of this.#held.values()) weights += size;
    for (const [name, { size }] of this.#held) {
      if (this.#held.size <= HELD && weights <= WEIGHTS) return;
      weights -= size;
      this.#held.delete(name);
    }
  }

  readonly #onMessage = (channel: string, name: string): void => {
    const held = channel === LESSONS ? this.#held.get(name) : undefined;
    if (held) held.stale = true;
  };

  /** News may have been missed while the connection was away. */
  readonly #onReady = (): void => {
    for (const held of this.#held.values()) held.stale = true;
  };
}
