import { Piscina } from 'piscina';
import type { Report } from './report.js';

export interface ReaderOptions {
  /** Threads at most; the first starts with the first report, and ends when there is none for a while. */
  readonly threads?: number;
  /** ms that a report may take, those before it included. */
  readonly timeout?: number;
}

const IDLE = 30_000;
const MEMORY_MB = 128;

/**
 * Reads reports in threads of their own: one that was made to be slow keeps nobody's socket waiting, and one that takes too
 * much time or memory ends with its thread.
 */
export class ReportReader {
  readonly #pool: Piscina<Uint8Array, Report | undefined>;
  readonly #timeout: number;

  constructor({ threads = 2, timeout = 30_000 }: ReaderOptions = {}) {
    this.#timeout = timeout;
    this.#pool = new Piscina({
      filename: new URL('./reader-thread.js', import.meta.url).href,
      minThreads: 0,
      maxThreads: threads,
      idleTimeout: IDLE,
      // A thread that sleeps in wait would not see the end of its process.
      atomics: 'disabled',
      resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB },
    });
  }

  /**
   * As `parseReport`.
   * @throws where it could not be read in time.
   */
  read(raw: Buffer): Promise<Report | undefined> {
    return this.#pool.run(raw, { signal: AbortSignal.timeout(this.#timeout) });
  }

  /** Ends the threads; what they were at is rejected. */
  close(): Promise<void> {
    return this.#pool.destroy();
  }
}
