import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { freePort, sendLoad } from '@waypost/testkit';
import { startWaypost } from '../targets/waypost.js';
import { PROVIDERS, SOURCES } from './behaviour.js';
import type { FarmReport } from './farm.js';

export interface ProvidersSettings {
  readonly dir: string;
  readonly print: (text: string) => void;
  readonly minutes: number;
  /** Messages a second. */
  readonly rate: number;
}

const FARM = resolve(import.meta.dirname, 'farm.js');
const REPORT_EVERY = 60;
/** How long what is deferred at the end may take to arrive once the providers are well again, s. */
const AFTERWARDS = 900;

/** Mail to providers that defer, limit, block, dawdle and cut connections: nothing may be lost, whatever they do. */
export async function measureProviders({ dir, print, minutes, rate }: ProvidersSettings): Promise<boolean> {
  const port = await freePort();
  const seconds = minutes * 60;
  const farm = fork(FARM, [String(port), String(seconds)]);
  const [address] = (await once(farm, 'message')) as [string];
  const waypost = await startWaypost({
    dir,
    layout: 'shaped',
    config: {
      routes: [{ match: '*', to: 'mx', tls: 'none' }],
      egress: {
        sources: SOURCES.map((source, at) => ({ name: `source-${at + 1}`, address: source })),
        pools: [{ name: 'all', sources: SOURCES.map((_, at) => ({ source: `source-${at + 1}` })) }],
        default_pool: 'all',
      },
      delivery: {
        mx_port: port,
        dns_servers: [address],
        retry: { initial: '20s', factor: 1.5, max: '3m' },
        timeouts: { final_dot: '30s', command: '30s' },
      },
    },
  });
  try {
    print(
      `${rate} messages a second for ${minutes} minutes, to ${PROVIDERS.length} providers, three delivery processes`,
    );
    const recipient = (number: number) =>
      `n${number}@d${number % 7}.${PROVIDERS[number % PROVIDERS.length]?.name ?? 'plain'}.test`;
    const started = performance.now();
    let accepted = 0;
    for (let second = 0; second < seconds; second += 1) {
      const load = { port: waypost.port, messages: rate, first: accepted, sessions: 4, size: 1000, recipient };
      accepted += (await sendLoad(load)).accepted;
      if ((second + 1) % REPORT_EVERY === 0) print(line((second + 1) / 60, accepted, await ask(farm)));
      await until(started + (second + 1) * 1000);
    }
    const before = await ask(farm);
    print(`at the end of it: ${line(minutes, accepted, before)}`);
    for (const [name, counts] of Object.entries(before.answers)) print(`  ${name}: ${JSON.stringify(counts)}`);
    const settled = await settle(farm, accepted);
    const lost = missing(settled, accepted);
    print(`with all providers well: ${line(minutes, accepted, settled)}`);
    print(`lost: ${lost.length}${lost.length > 0 ? ` (${lost.slice(0, 10).join(', ')} …)` : ''}`);
    return lost.length === 0;
  } finally {
    await waypost.stop();
    farm.send('end');
  }
}

/** Waits until every message has arrived or its failure was told. */
async function settle(farm: ChildProcess, accepted: number): Promise<FarmReport> {
  const until = performance.now() + AFTERWARDS * 1000;
  farm.send('calm');
  await once(farm, 'message');
  for (;;) {
    const report = await ask(farm);
    if (missing(report, accepted).length === 0 || performance.now() > until) return report;
    await new Promise((done) => setTimeout(done, 1000));
  }
}

function line(minute: number, accepted: number, { taken, told }: FarmReport): string {
  const twice = taken.filter(([, times]) => times > 1).length;
  const known = new Set([...taken.map(([number]) => number), ...told]).size;
  return `${minute.toFixed(0)} min: accepted ${accepted}, delivered ${taken.length} (twice or more ${twice}), failed and told ${told.length}, deferred ${accepted - known}`;
}

function missing({ taken, told }: FarmReport, accepted: number): number[] {
  const known = new Set([...taken.map(([number]) => number), ...told]);
  return Array.from({ length: accepted }, (_, number) => number).filter((number) => !known.has(number));
}

async function ask(farm: ChildProcess): Promise<FarmReport> {
  const answer = once(farm, 'message') as Promise<[FarmReport]>;
  farm.send('report');
  return (await answer)[0];
}

async function until(at: number): Promise<void> {
  const wait = at - performance.now();
  if (wait > 0) await new Promise((done) => setTimeout(done, wait));
}
