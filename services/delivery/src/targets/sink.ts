import type { Command } from '@waypost/redis';
import { sinkCommands } from '@waypost/store';
import type { LaneTarget, Outgoing, TargetOutcome } from '../target.js';

/** Catches mail instead of sending it; the newest can be read in the dashboard. */
export class SinkTarget implements LaneTarget {
  readonly kind = 'sink';
  readonly alive = true;

  /** @param keep how many messages stay readable. */
  constructor(private readonly keep: () => number) {}

  async prepare(): Promise<undefined> {
    return undefined;
  }

  async send({ job, open, body }: Outgoing): Promise<TargetOutcome> {
    const reply = { code: 250, enhanced: '2.0.0', text: 'caught by the sink' };
    const results = open.map((i) => ({ i, result: 'delivered' as const, reply, dsn: 'final' as const }));
    const keep = this.keep();
    const also: Command[] = keep > 0 ? sinkCommands(job, await head(await body()), keep) : [];
    return { results, remote: 'sink', also };
  }

  close(): void {}
}

/** Octets of a caught message that are kept. */
const KEPT = 1_048_576;

async function head(body: Awaited<ReturnType<Outgoing['body']>>): Promise<Buffer> {
  if (Buffer.isBuffer(body)) return body.subarray(0, KEPT);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    chunks.push(chunk as Buffer);
    size += (chunk as Buffer).length;
    if (size >= KEPT) break;
  }
  return Buffer.concat(chunks).subarray(0, KEPT);
}
