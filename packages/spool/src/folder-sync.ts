import { open } from 'node:fs/promises';
import type { Semaphore } from './semaphore.js';

interface State {
  readonly running: Promise<void>;
  next?: Promise<void>;
}

/** Syncs folders after renames in them. Callers that wait for the same folder at the same moment share one sync. */
export class FolderSync {
  readonly #states = new Map<string, State>();

  constructor(private readonly syncs: Semaphore) {}

  /** Resolves once a sync that began after this call has ended, so that entries made before are durable. */
  sync(folder: string): Promise<void> {
    const state = this.#states.get(folder);
    if (!state) return this.#start(folder);
    // The running one may have begun before the caller's rename.
    state.next ??= state.running.catch(() => undefined).then(() => this.#start(folder));
    return state.next;
  }

  #start(folder: string): Promise<void> {
    const state: State = { running: this.syncs.run(() => syncNow(folder)) };
    this.#states.set(folder, state);
    const done = () => {
      if (!state.next) this.#states.delete(folder);
    };
    state.running.then(done, done);
    return state.running;
  }
}

async function syncNow(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
