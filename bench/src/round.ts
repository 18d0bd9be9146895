import { performance } from 'node:perf_hooks';
import { type Load, type Sink, send } from './peers.js';
import { cpuOf, memoryOf } from './process-tree.js';
import type { Target } from './targets/target.js';

/** What one round measured. */
export interface Round {
  /** Messages a second until the source had its last 250. */
  readonly acceptRate: number;
  /** Messages a second until the sink held all of them. */
  readonly relayRate: number;
  /** CPU time of the target's whole process tree, ms a message. */
  readonly cpu: number;
  /** Highest PSS seen of the tree, MiB. */
  readonly memory: number;
}

const MEMORY_EVERY = 250;

/** Sends a load through a target and waits until the sink holds it. */
export async function measure(source: string, target: Target, sink: Sink, load: Load): Promise<Round> {
  let memory = memoryOf(target.pids);
  const sampler = setInterval(() => {
    memory = Math.max(memory, memoryOf(target.pids));
  }, MEMORY_EVERY);
  try {
    const goal = sink.count + load.messages;
    const cpu = cpuOf(target.pids);
    const started = performance.now();
    await send(source, target.port, load);
    const accepted = performance.now();
    await sink.reach(goal, 120_000);
    const relayed = performance.now();
    const rate = (until: number) => (load.messages / (until - started)) * 1000;
    return {
      acceptRate: rate(accepted),
      relayRate: rate(relayed),
      cpu: (cpuOf(target.pids) - cpu) / load.messages,
      memory: Math.max(memory, memoryOf(target.pids)),
    };
  } finally {
    clearInterval(sampler);
  }
}

/** @returns the round of medians. */
export function medianRound(rounds: readonly Round[]): Round {
  const of = (key: keyof Round) => median(rounds.map((round) => round[key]));
  return { acceptRate: of('acceptRate'), relayRate: of('relayRate'), cpu: of('cpu'), memory: of('memory') };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  return low === undefined || high === undefined ? Number.NaN : (low + high) / 2;
}
