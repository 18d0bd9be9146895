import {
  type Command,
  type Executor,
  RedisRefusedError,
  RedisUnavailableError,
  RedisUncertainError,
} from '@waypost/redis';

const FIRST_PAUSE = 20;
const LONGEST_PAUSE = 2000;

/**
 * Runs idempotent commands until Redis has taken them: an outcome that happened is recorded whatever Redis does
 * meanwhile (design §2.3, §2.7).
 * @param onRetry called with the error before each further try.
 * @throws only what a command itself answered, or the signal's reason.
 */
export async function execUntilDone(
  executor: Executor,
  commands: readonly Command[],
  options: { signal?: AbortSignal; onRetry?: (error: Error) => void } = {},
): Promise<unknown[]> {
  for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
    try {
      return await executor.exec(commands);
    } catch (error) {
      if (!isRedisTrouble(error)) throw error;
      options.onRetry?.(error);
      options.signal?.throwIfAborted();
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

/** @returns whether Redis, not the command, was the trouble. */
export function isRedisTrouble(error: unknown): error is Error {
  return (
    error instanceof RedisUnavailableError || error instanceof RedisUncertainError || error instanceof RedisRefusedError
  );
}
