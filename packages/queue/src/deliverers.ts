import type { Command, Executor } from '@waypost/redis';
import { DELIVERERS } from './names.js';
import { heartbeat } from './scripts/heartbeat.js';

export interface DeliverersOptions {
  readonly executor: Executor;
  /** This process, unique for its life. */
  readonly replica: string;
  /** No other process can be alive. */
  readonly alone?: boolean;
  readonly onError?: (error: Error, context: string) => void;
}

/** The others read who is there. */
const JOINED_OR_LEFT: Command = { name: 'publish', args: [DELIVERERS, ''] };
/** Silent for this long, a process is no longer counted on, ms; four heartbeats. */
const SILENCE = 20_000;

/**
 * The processes that deliver. Each lane has one of them that answers for it first, chosen by hash (rendezvous hashing), so
 * that a message wakes one process instead of all, and finds the connection that the one before it left open.
 */
export class Deliverers {
  #members: readonly string[];
  #timer: NodeJS.Timeout | undefined;
  #left = false;

  constructor(private readonly options: DeliverersOptions) {
    this.#members = [options.replica];
  }

  get count(): number {
    return this.#members.length;
  }

  async start(): Promise<void> {
    await this.#beat(this.options.alone === true);
    await this.options.executor.exec([JOINED_OR_LEFT]);
    this.#timer = setInterval(() => void this.refresh(), SILENCE / 4);
    this.#timer.unref();
  }

  /** Says that this process is there, and reads who else is. */
  readonly refresh = (): Promise<void> => this.#beat(false);

  async #beat(othersAreDead: boolean): Promise<void> {
    const { executor, replica, onError } = this.options;
    if (this.#left) return;
    try {
      const [, members] = (await executor.exec([
        { name: heartbeat.name, script: heartbeat, args: [DELIVERERS, replica, SILENCE, othersAreDead ? '1' : '0'] },
        { name: 'zrange', args: [DELIVERERS, 0, -1] },
      ])) as [unknown, string[]];
      this.#members = members;
    } catch (error) {
      onError?.(error as Error, 'reading which processes deliver');
    }
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#left = true;
    const { executor, replica } = this.options;
    await executor.exec([{ name: 'zrem', args: [DELIVERERS, replica] }, JOINED_OR_LEFT]).catch(() => undefined);
  }

  /** @returns whether this process answers first for the lane. */
  mine(lane: string): boolean {
    if (this.#members.length < 2) return true;
    const { replica } = this.options;
    const own = weight(lane, replica);
    return this.#members.every((other) => other === replica || weight(lane, other) < own);
  }
}

/** FNV-1a, then mixed (murmur3's finaliser), as neighbouring names must not go together. */
function weight(lane: string, replica: string): number {
  let hash = 0x811c9dc5;
  for (const text of [lane, replica]) {
    for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
