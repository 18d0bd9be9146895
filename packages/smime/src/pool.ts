import { availableParallelism } from 'node:os';
import { Piscina } from 'piscina';
import type { Identity } from './certificates.js';
import type { EnvelopeOptions } from './cms/envelope.js';
import type { Verified, VerifyOptions } from './cms/verify.js';

export type Task =
  | { readonly kind: 'sign'; readonly content: Buffer; readonly identity: Identity; readonly detached: boolean }
  | {
      readonly kind: 'encrypt';
      readonly content: Buffer;
      readonly certificates: readonly Buffer[];
      readonly options: EnvelopeOptions;
    }
  | { readonly kind: 'decrypt'; readonly cms: Buffer; readonly identities: readonly Identity[] }
  | {
      readonly kind: 'verify';
      readonly cms: Buffer;
      /** What is signed, where it stands beside the signature. */
      readonly content?: Buffer | undefined;
      readonly options: Pick<VerifyOptions, 'anchors' | 'from'>;
    };

export interface TaskResult {
  sign: Buffer;
  encrypt: Buffer;
  decrypt: { content: Buffer; opener: number };
  verify: Verified;
}

/** S/MIME off the event loop. */
export interface SmimePool {
  /** @throws what the task throws, SmimeBusyError where too many wait or the pool is closed, and an error where it takes too long. */
  run<T extends Task>(task: T): Promise<TaskResult[T['kind']]>;
  close(): Promise<void>;
}

/** Tasks that may wait: past that the message is better judged again later. */
const MOST_WAITING = 256;

/** How long a task may take, its wait included, ms: a message must not hold a thread for ever. */
const LONGEST = 60_000;

/** Too much is to be done now, or the process ends: what the message is or holds has no part in it. */
export class SmimeBusyError extends Error {
  constructor() {
    super('S/MIME has no room for a message now');
  }
}

/** Threads start with the first task, and end when there is nothing for them to do. */
export function createSmimePool(threads = Math.max(1, availableParallelism() - 1), longest = LONGEST): SmimePool {
  let pool: Piscina | undefined;
  let closed = false;
  const open = () =>
    new Piscina({
      filename: new URL('./worker.js', import.meta.url).href,
      minThreads: 0,
      maxThreads: threads,
      maxQueue: MOST_WAITING,
      idleTimeout: 30_000,
    });
  return {
    run: async (task) => {
      pool ??= open();
      if (pool.queueSize >= MOST_WAITING) throw new SmimeBusyError();
      const running: Promise<unknown> = pool.run(task, { signal: AbortSignal.timeout(longest) });
      return restored(
        await running.catch((error: Error) => {
          throw closed ? new SmimeBusyError() : error;
        }),
      ) as never;
    },
    close: async () => {
      closed = true;
      await pool?.destroy();
    },
  };
}

/** Buffers come out of a thread as bare octets. */
function restored(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (Array.isArray(value) || typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, restored(inner)]));
}
