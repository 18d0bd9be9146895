export type Arg = string | number | Buffer;

/** A Lua script, one per file; `keys` is how many of the arguments are keys. */
export interface Script {
  readonly name: string;
  readonly keys: number;
  readonly lua: string;
}

/**
 * One Redis command, built without being sent. Stores and queues return lists of these, so that a caller can
 * put a message's body, record and job into one transaction (see GroupCommit).
 */
export interface Command {
  /** Lower-case command name, or the script's name where `script` is given. */
  readonly name: string;
  readonly args: readonly Arg[];
  readonly script?: Script;
  /** The reply is wanted as a Buffer. */
  readonly binary?: boolean;
}

/** Redis could not be reached, so nothing was sent. */
export class RedisUnavailableError extends Error {
  constructor(options?: { cause?: unknown }) {
    super('Redis cannot be reached', options);
    this.name = 'RedisUnavailableError';
  }
}

/** The connection broke, or the replicas did not confirm, after the commands were sent: they may have run. */
export class RedisUncertainError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'RedisUncertainError';
  }
}

/** @returns whether commands may have run although they failed: this error, or what caused it, says so. */
export function isUncertain(error: unknown): boolean {
  for (let one = error; one instanceof Error; one = one.cause) {
    if (one instanceof RedisUncertainError) return true;
  }
  return false;
}

/** Redis refused the transaction and ran none of it; `message` is its text (`OOM …`, `READONLY …`). */
export class RedisRefusedError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'RedisRefusedError';
  }
}

export interface ExecOptions {
  /**
   * Takes in something new, which is refused where Redis is at its `maxmemory`. All else runs beyond it, one command after
   * another instead of in a transaction: what was accepted must come to its end for memory to become free.
   */
  readonly refusable?: boolean;
}

/** Runs commands durably. Implemented by GroupCommit. */
export interface Executor {
  /**
   * Runs the commands together, in order and atomically (but see ExecOptions), in the next group.
   * @returns one reply a command, once they are as durable as configured.
   * @throws RedisUnavailableError, RedisRefusedError: nothing ran · RedisUncertainError: it may have run ·
   *   ReplyError: this command failed while running, the others ran.
   */
  exec(commands: readonly Command[], options?: ExecOptions): Promise<unknown[]>;
}
