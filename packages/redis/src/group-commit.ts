import { EventEmitter } from 'node:events';
import type { Redis } from 'ioredis';
import { beyondMemory } from './beyond-memory.js';
import {
  type Command,
  type ExecOptions,
  type Executor,
  RedisRefusedError,
  RedisUnavailableError,
  RedisUncertainError,
} from './command.js';

interface Unit {
  readonly commands: readonly Command[];
  readonly refusable: boolean;
  readonly resolve: (replies: unknown[]) => void;
  readonly reject: (error: Error) => void;
}

/** What a chainable ioredis transaction offers by name: commands and defined scripts. */
type Replies = [Error | null, unknown][];
type Chain = Record<string, (...args: unknown[]) => unknown> & { exec(): Promise<Replies | null> };

export interface GroupCommitOptions {
  /** Replicas that must confirm a group before it counts as durable; 0 for none (`WAIT`). */
  readonly replicas?: number;
  /** How long replicas may take, ms. */
  readonly replicaTimeout?: number;
  /** Called after each group with its number of commands and milliseconds. */
  readonly onGroup?: (commands: number, milliseconds: number) => void;
}

/** Commands of one group; a larger backlog goes in several, so that Redis never stalls on one for long. */
const GROUP_COMMANDS = 512;
const GROUP_BYTES = 4 * 1024 * 1024;

/**
 * Group commit over one connection: one transaction is in flight at a time, and all that is asked for meanwhile goes
 * together into the next, sharing its round trip and its fsync. Each caller's commands stay together and in order.
 */
export class GroupCommit extends EventEmitter<{ available: []; unavailable: [] }> implements Executor {
  #queue: Unit[] = [];
  #busy = false;
  #scheduled = false;

  constructor(
    private readonly redis: Redis,
    private readonly options: GroupCommitOptions = {},
  ) {
    super();
    redis.on('ready', () => this.emit('available'));
    redis.on('close', () => this.emit('unavailable'));
  }

  /** Whether commands can be sent now. */
  get available(): boolean {
    return this.redis.status === 'ready';
  }

  exec(commands: readonly Command[], { refusable = false }: ExecOptions = {}): Promise<unknown[]> {
    if (!this.available) return Promise.reject(new RedisUnavailableError());
    const unknown = commands.find(({ name, script }) => !script && !(name in this.redis));
    if (unknown) return Promise.reject(new Error(`Redis has no command ${unknown.name}`));
    return new Promise((resolve, reject) => {
      this.#queue.push({ commands, refusable, resolve, reject });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#busy || this.#scheduled) return;
    this.#scheduled = true;
    // After the I/O of this turn of the loop, so that what arrived together is sent together.
    setImmediate(() => {
      this.#scheduled = false;
      void this.#drain();
    });
  }

  async #drain(): Promise<void> {
    this.#busy = true;
    while (this.#queue.length > 0) await this.#runGroup(this.#take());
    this.#busy = false;
  }

  #take(): Unit[] {
    let commands = 0;
    let bytes = 0;
    let count = 0;
    for (const unit of this.#queue) {
      commands += unit.commands.length;
      for (const command of unit.commands) bytes += sizeOf(command);
      if (count > 0 && (commands > GROUP_COMMANDS || bytes > GROUP_BYTES)) break;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  async #runGroup(units: readonly Unit[]): Promise<void> {
    const started = performance.now();
    let replies: Replies;
    try {
      replies = await this.#transact(units);
    } catch (error) {
      return this.#failed(units, asFailure(error));
    }
    this.options.onGroup?.(replies.length, performance.now() - started);
    if (replies.some(([error]) => isNoScript(error))) await this.#loadScripts(units);
    let at = 0;
    for (const unit of units) {
      settle(unit, replies.slice(at, at + unit.commands.length));
      at += unit.commands.length;
    }
  }

  async #failed(units: readonly Unit[], failure: Error): Promise<void> {
    if (failure instanceof RedisRefusedError) {
      await this.#loadScripts(units);
      // Refused as a whole although perhaps one command is to blame: each by itself.
      if (units.length > 1) {
        for (const unit of units) await this.#runGroup([unit]);
        return;
      }
      // With its memory full Redis refuses every transaction, even one that frees some.
      if (failure.message.startsWith('OOM') && units[0]?.refusable === false)
        return this.#runBeyondMemory(units[0], failure);
    }
    for (const unit of units) unit.reject(failure);
  }

  async #runBeyondMemory(unit: Unit, refusal: Error): Promise<void> {
    try {
      const replies = await this.#confirmed(beyondMemory(this.redis, unit.commands));
      const broken = replies.find(([error]) => error && error.name !== 'ReplyError')?.[0];
      if (broken) throw broken;
      // Redis before 7 cannot do so, and then nothing ran.
      settle(unit, replies, isUnable(replies[0]?.[0]) ? refusal : undefined);
    } catch (error) {
      unit.reject(asFailure(error));
    }
  }

  #transact(units: readonly Unit[]): Promise<Replies> {
    const chain = this.redis.multi() as unknown as Chain;
    for (const unit of units) for (const command of unit.commands) this.#append(chain, command);
    return this.#confirmed(chain.exec());
  }

  /** Waits for the replies, and for the replicas that are to confirm them. */
  async #confirmed(running: Promise<Replies | null>): Promise<Replies> {
    const { replicas = 0, replicaTimeout = 5000 } = this.options;
    const waiting = replicas > 0 ? this.redis.wait(replicas, replicaTimeout) : undefined;
    waiting?.catch(() => {});
    const replies = await running;
    if (replies === null) throw new RedisRefusedError('the transaction was discarded');
    if (waiting !== undefined && (await waiting) < replicas) {
      throw new RedisUncertainError(`fewer than ${replicas} replicas confirmed within ${replicaTimeout} ms`);
    }
    return replies;
  }

  /**
   * Makes Redis know the scripts again. ioredis names a script by its hash from the second time on, although the first
   * time may have been in a transaction that was refused, or the server was told to forget its scripts.
   */
  async #loadScripts(units: readonly Unit[]): Promise<void> {
    const { scriptsSet } = this.redis as unknown as { scriptsSet: Record<string, { lua: string }> };
    const used = new Set(units.flatMap(({ commands }) => commands.map(({ name }) => scriptsSet[name]?.lua)));
    const loading = [...used].flatMap((lua) => (lua === undefined ? [] : [this.redis.script('LOAD', lua)]));
    // Where that fails too, the next group says what is wrong.
    await Promise.allSettled(loading);
  }

  #append(chain: Chain, command: Command): void {
    const { script } = command;
    if (script && !(script.name in this.redis)) {
      this.redis.defineCommand(script.name, { numberOfKeys: script.keys, lua: script.lua });
    }
    if (script && !(script.name in chain)) {
      const bound = (this.redis as unknown as Chain)[script.name];
      if (bound) chain[script.name] = bound;
    }
    const method = chain[command.binary ? `${command.name}Buffer` : command.name];
    if (!method) throw new Error(`Redis has no command ${command.name}`);
    method.apply(chain, command.args as unknown[]);
  }
}

function sizeOf(command: Command): number {
  let bytes = 0;
  for (const arg of command.args) if (typeof arg !== 'number') bytes += arg.length;
  return bytes;
}

/** @param refusal what to reject with, whatever the replies say. */
function settle(unit: Unit, replies: Readonly<Replies>, refusal?: Error): void {
  if (refusal) return unit.reject(refusal);
  const values: unknown[] = [];
  for (const [error, value] of replies) {
    // The rest of the unit ran, and the next time all of it will.
    if (isNoScript(error))
      return unit.reject(new RedisUncertainError('Redis had forgotten a script', { cause: error }));
    if (error) return unit.reject(error);
    values.push(value);
  }
  unit.resolve(values);
}

const isUnable = (error: Error | null | undefined) => /shebang|compiling script/i.test(error?.message ?? '');
const isNoScript = (error: Error | null): error is Error => error?.message.startsWith('NOSCRIPT') === true;

/** Sorts what went wrong with a transaction: nothing ran, or it cannot be known. */
function asFailure(error: unknown): Error {
  if (error instanceof RedisUncertainError || error instanceof RedisRefusedError) return error;
  const { message, previousErrors } = error as Error & { previousErrors?: Error[] };
  const first = previousErrors?.find((previous) => !previous.message.startsWith('EXECABORT'))?.message ?? message;
  if (
    message.startsWith('EXECABORT') ||
    /^(OOM|READONLY|LOADING|MASTERDOWN|NOREPLICAS|MISCONF|CLUSTERDOWN|MOVED|ASK|NOAUTH|NOPERM)/.test(first)
  ) {
    return new RedisRefusedError(first, { cause: error });
  }
  if (/isn't writeable/.test(first)) return new RedisUnavailableError({ cause: error });
  return new RedisUncertainError(`the connection to Redis broke while it was answering: ${first}`, { cause: error });
}
