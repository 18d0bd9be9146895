import type { Command } from '@waypost/redis';
import { type JobJson, QueueKeys, RedisConnection, RedisQueueBackend } from 'bullmq';
import type { Redis } from 'ioredis';
import { Packr } from 'msgpackr';

/** A job as it was taken from a queue. */
export interface TakenJob {
  readonly id: string;
  readonly data: string;
  /** How often it was started, this time included. */
  readonly attempt: number;
}

/** What a take (or a finish that takes the next) gave. */
export interface Taken {
  readonly job?: TakenJob;
  /** With no job: when the earliest delayed one is due, ms since the epoch. */
  readonly nextAt?: number;
}

const packer = new Packr({ useRecords: false, encodeUndefinedAsNil: true });
/** BullMQ's own event stream is not what we read; it keeps only this many entries a queue. */
const EVENTS_KEPT = 32;

/** Defines BullMQ's scripts on the connection that commands will run on. */
export async function loadBullScripts(client: Redis): Promise<void> {
  const connection = new RedisConnection(client, { shared: true, blocking: false, skipVersionCheck: true });
  // It says again what the client has said already, and unheard it would end the process.
  connection.on('error', () => undefined);
  await connection.client;
}

/** Gives BullMQ's argument builders a client that only notes what they would have run. */
class Recorder {
  readonly commands: Command[] = [];
  runCommand(name: string, args: unknown[]): number {
    this.commands.push({ name, args: args as Command['args'] });
    return 0;
  }
}

export interface BullQueueOptions {
  /** Redis key prefix; with the name in braces it makes one cluster slot of the queue. */
  readonly prefix: string;
  readonly name: string;
  /** How long a taken job stays ours without renewal, ms. */
  readonly lockDuration: number;
}

/**
 * One BullMQ queue as commands: the arguments come from BullMQ's own backend, so that every tool that knows BullMQ
 * reads these queues, but they run in our transactions, next to the records that belong to them.
 */
export class BullQueue extends RedisQueueBackend {
  constructor(private readonly bullOptions: BullQueueOptions) {
    const keys = new QueueKeys(bullOptions.prefix);
    const name = `{${bullOptions.name}}`;
    const settings = { lockDuration: bullOptions.lockDuration, maxStalledCount: 1_000_000, stalledInterval: 1 };
    super(
      // Never used to talk: every command is handed out instead.
      { client: Promise.reject(new Error('not connected')).catch(() => undefined) } as unknown as RedisConnection,
      name,
      keys.getKeys(name),
      (type) => keys.toKey(name, type),
      { prefix: bullOptions.prefix, ...settings } as never,
      undefined,
      false,
    );
  }

  /** Keeps BullMQ's event stream of this queue short. */
  limitEvents(): Command {
    return { name: 'hsetnx', args: [this.queue.keys.meta as string, 'opts.maxLenEvents', EVENTS_KEPT] };
  }

  /**
   * Adds a job; one with the same id that still exists is left as it is.
   * @param delay ms from now, 0 for none.
   */
  add(id: string, data: string, delay = 0): Command {
    const recorder = new Recorder();
    const job = { id, name: 'm', data, opts: delay > 0 ? { delay } : {}, timestamp: Date.now() } as unknown as JobJson;
    // Runs to its command synchronously; what it awaits afterwards is the recorder's answer.
    void this.addJobToTransaction(recorder as never, job, id);
    const command = recorder.commands[0];
    if (!command) throw new Error('BullMQ gave no command for adding a job');
    return command;
  }

  /** Takes the next job that is due. */
  take(token: string): Command {
    const { keys } = this.queue;
    const options = packer.pack({ token, lockDuration: this.bullOptions.lockDuration });
    return {
      name: `moveToActive:${this.version}`,
      args: [
        ...[keys.wait, keys.active, keys.prioritized, keys.events, keys.stalled, keys.limiter, keys.delayed],
        ...[keys.paused, keys.meta, keys.pc, keys.marker, keys['']],
        Date.now(),
        options,
      ] as Command['args'],
    };
  }

  /** Completes and removes a job; `takeNext` takes the next one in the same script. */
  complete(id: string, token: string, takeNext: boolean): Command {
    const args = this.moveToCompletedArgs({ id, opts: {} } as never, '0', true, token, takeNext);
    return { name: `moveToFinished:${this.version}`, args: args.map(plain) };
  }

  /** Puts a job off until `at` (ms since the epoch); it counts no failed attempt. */
  delay(id: string, token: string, at: number, takeNext: boolean): Command {
    const now = Date.now();
    const args = this.moveToDelayedArgs(id, now, token, Math.max(1, at - now), {
      skipAttempt: true,
      fetchNext: takeNext,
    });
    return { name: `moveToDelayed:${this.version}`, args: args.map(plain) };
  }

  /** Prolongs our hold on a taken job. */
  extend(id: string, token: string): Command {
    const args = [
      `${this.queue.toKey(id)}:lock`,
      this.queue.keys.stalled as string,
      token,
      this.bullOptions.lockDuration,
      id,
    ];
    return { name: `extendLock:${this.version}`, args };
  }

  /** Reads who holds a job. */
  owner(id: string): Command {
    return { name: 'get', args: [`${this.queue.toKey(id)}:lock`] };
  }

  /** Moves jobs whose holder died back to waiting; a job needs to be seen without a lock twice. */
  recoverStalled(): Command {
    return { name: `moveStalledJobsToWait:${this.version}`, args: this.moveStalledJobsToWaitArgs().map(plain) };
  }

  /** Makes a delayed job due at once. */
  promoteNow(id: string): Command {
    const { keys } = this.queue;
    return {
      name: `promote:${this.version}`,
      args: [
        ...[keys.delayed, keys.wait, keys.paused, keys.meta, keys.prioritized, keys.active, keys.pc, keys.events],
        ...[keys.marker, keys[''], id],
      ] as Command['args'],
    };
  }

  key(
    type: 'wait' | 'active' | 'delayed' | 'paused' | 'meta' | 'events' | 'id' | 'marker' | 'stalled' | 'stalled-check',
  ): string {
    return this.queue.toKey(type);
  }

  jobKey(id: string): string {
    return this.queue.toKey(id);
  }
}

/** As ioredis itself writes arguments: nothing is the empty string. */
const plain = (value: unknown) =>
  (value === undefined || value === null
    ? ''
    : typeof value === 'boolean'
      ? String(value)
      : value) as Command['args'][number];

/**
 * Reads the reply of `take`, or of a finish that took the next job.
 * @throws Error where the finish itself failed (job or lock missing).
 */
export function parseTaken(reply: unknown): Taken {
  if (typeof reply === 'number') {
    if (reply < 0) throw new JobLostError(reply);
    return {};
  }
  if (!Array.isArray(reply)) return {};
  const [fields, id, , nextAt] = reply as [string[] | 0, string | 0, unknown, number];
  if (!Array.isArray(fields) || typeof id !== 'string') return Number(nextAt) > 0 ? { nextAt: Number(nextAt) } : {};
  let data = '';
  let attempt = 1;
  for (let i = 0; i + 1 < fields.length; i += 2) {
    if (fields[i] === 'data') data = fields[i + 1] ?? '';
    else if (fields[i] === 'ats') attempt = Number(fields[i + 1]);
  }
  return { job: { id, data, attempt } };
}

/** The job was gone or taken over when we finished it: what it did is recorded, nothing more is to be done. */
export class JobLostError extends Error {
  constructor(readonly code: number) {
    super(`BullMQ no longer has this job under our lock (${code})`);
    this.name = 'JobLostError';
  }
}
