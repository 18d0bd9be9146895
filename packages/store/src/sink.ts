import type { LaneJob } from '@waypost/mail';
import type { Command, Executor } from '@waypost/redis';
import { sinkScript } from './scripts/sink.js';

const LIST = 'wp:{sink}:list';
const BODIES = 'wp:{sink}:m:';

/** A message that a sink route caught. */
export interface CaughtMessage {
  /** Names it among the caught ones: message id and first recipient's index. */
  readonly key: string;
  readonly id: string;
  readonly sender: string;
  readonly recipients: readonly string[];
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** @returns the commands that keep a caught message; only the newest `keep` stay. */
export function sinkCommands(job: LaneJob, raw: Buffer, keep: number): Command[] {
  const key = `${job.id}.${job.rcpts[0]?.i ?? 0}`;
  const recipients = job.rcpts.map(({ to }) => to);
  const caught: CaughtMessage = { key, id: job.id, sender: job.sender, recipients, at: Date.now() };
  const args = [LIST, BODIES + key, JSON.stringify(caught), raw, keep, BODIES];
  return [{ name: sinkScript.name, script: sinkScript, args }];
}

/** Reads what sink routes caught. */
export class SinkStore {
  constructor(private readonly executor: Executor) {}

  /** The newest first. */
  async list(limit = 100): Promise<CaughtMessage[]> {
    const [reply] = (await this.executor.exec([{ name: 'lrange', args: [LIST, 0, limit - 1] }])) as [string[]];
    return reply.map((text) => JSON.parse(text) as CaughtMessage);
  }

  /** @returns the message as it would have gone out, cut at 1 MiB. */
  async raw(key: string): Promise<Buffer | undefined> {
    const [reply] = await this.executor.exec([{ name: 'get', args: [BODIES + key], binary: true }]);
    return Buffer.isBuffer(reply) ? reply : undefined;
  }
}
