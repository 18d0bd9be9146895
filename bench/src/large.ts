import { performance } from 'node:perf_hooks';
import { sendLoad } from '@waypost/testkit';
import { type Sink, send } from './peers.js';
import { memoryOf } from './process-tree.js';
import { median } from './round.js';
import type { Target } from './targets/target.js';

/** What many large messages at once did to memory and to another client. */
export interface LargeResult {
  readonly messages: number;
  readonly size: number;
  readonly seconds: number;
  /** Highest PSS of the process tree, MiB. */
  readonly memory: number;
  /** Milliseconds from connecting to 250 of a small message sent meanwhile over a connection of its own. */
  readonly small: { readonly idle: number; readonly median: number; readonly worst: number; readonly count: number };
}

const SMALL_IDLE = 20;

/** Sends large messages all at once, and small ones one after another beside them, until the sink holds all. */
export async function measureLarge(
  source: string,
  target: Target,
  sink: Sink,
  messages: number,
  size: number,
): Promise<LargeResult> {
  const small = async () => {
    const started = performance.now();
    await sendLoad({ port: target.port, messages: 1, sessions: 1 });
    return performance.now() - started;
  };
  const idle: number[] = [];
  for (let round = 0; round < SMALL_IDLE; round += 1) idle.push(await small());
  await sink.reach(SMALL_IDLE, 30_000);

  let memory = 0;
  const sampler = setInterval(() => {
    memory = Math.max(memory, memoryOf(target.pids));
  }, 100);
  const times: number[] = [];
  const started = performance.now();
  let sending = true;
  const beside = (async () => {
    while (sending) times.push(await small());
  })();
  try {
    await send(source, target.port, { messages, size, sessions: messages, kept: true });
    sending = false;
    await beside;
    await sink.reach(SMALL_IDLE + times.length + messages, 300_000);
  } finally {
    sending = false;
    clearInterval(sampler);
  }
  const seconds = (performance.now() - started) / 1000;
  const worst = Math.max(...times);
  return {
    messages,
    size,
    seconds,
    memory,
    small: { idle: median(idle), median: median(times), worst, count: times.length },
  };
}
