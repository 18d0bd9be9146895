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
  /** @throws what the task throws, and an error where too many wait. */
  run<T extends Task>(task: T): Promise<TaskResult[T['kind']]>;
  close(): Promise<void>;
}

/** Tasks that may wait: past that the message is better judged again later. */
const MOST_WAITING = 256;

/** Threads start with the first task, and end when there is nothing for them to do. */
export function createSmimePool(threads = Math.max(1, availableParallelism() - 1)): SmimePool {
  let pool: Piscina | undefined;
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
      return restored(await pool.run(task)) as never;
    },
    close: async () => pool?.destroy(),
  };
}

/** Buffers come out of a thread as bare octets. */
function restored(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (Array.isArray(value) || typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, restored(inner)]));
}
