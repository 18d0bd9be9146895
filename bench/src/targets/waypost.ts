import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { freePort } from '@waypost/testkit';
import { listening } from '../peers.js';
import type { Target } from './target.js';

const MAIN = resolve(import.meta.dirname, '../../../services/waypost/dist/main.js');

/** As the launcher and the image start it. */
const NODE_FLAGS = ['--max-semi-space-size=16'];

/** How the services are spread over processes: `one` is what `waypost up` does. */
export const LAYOUTS = {
  one: [['all']],
  split: [['ingress'], ['policy', 'api', 'events'], ['delivery']],
  shaped: [['ingress', 'policy', 'api', 'events'], ['delivery'], ['delivery'], ['delivery']],
} as const;
export type Layout = keyof typeof LAYOUTS;

/** A Waypost under test. */
export interface WaypostTarget extends Target {
  readonly redisPort: number;
  /** Process ids of those that deliver. */
  readonly delivering: readonly number[];
}

export interface WaypostSettings {
  readonly dir: string;
  readonly layout: Layout;
  /** Sections of the configuration beside those of every layout. */
  readonly config: Record<string, unknown>;
  /** Listeners beside the trusted one. */
  readonly listeners?: readonly object[];
}

/** Starts Waypost as a user would on one machine: its own Redis, `appendfsync always`, no log line a message. */
export async function startWaypost({ dir, layout, config, listeners = [] }: WaypostSettings): Promise<WaypostTarget> {
  mkdirSync(dir, { recursive: true });
  const [port, redisPort] = [await freePort(), await freePort()];
  const processes: readonly (readonly string[])[] = LAYOUTS[layout];
  const children: ChildProcess[] = [];
  for (const [at, services] of processes.entries()) {
    const file = join(dir, `waypost-${at}.json`);
    writeFileSync(
      file,
      JSON.stringify({
        server: { hostname: 'waypost.bench.example' },
        redis:
          at === 0
            ? { embedded: { dir: join(dir, 'redis'), port: redisPort } }
            : { url: `redis://127.0.0.1:${redisPort}` },
        spool: { dir: join(dir, 'spool') },
        listeners: [{ name: 'trusted', kind: 'relay', port, tls: 'none', allow: ['127.0.0.0/8'] }, ...listeners],
        http: { port: await freePort() },
        api: { port: await freePort() },
        telemetry: { metrics_port: await freePort(), log_level: 'warn' },
        ...config,
      }),
    );
    const log = openSync(join(dir, `waypost-${at}.log`), 'a');
    children.push(
      spawn(process.execPath, [...NODE_FLAGS, MAIN, 'run', ...services, '--config', file], {
        stdio: ['ignore', log, log],
      }),
    );
    await listening(at === 0 ? redisPort : port);
  }
  await listening(port);
  const pids = children.map(({ pid }) => pid ?? 0);
  return {
    name: layout === 'one' ? 'Waypost' : `Waypost (${processes.length} processes)`,
    port,
    redisPort,
    pids,
    delivering: pids.filter((_, at) => processes[at]?.some((name) => name === 'delivery' || name === 'all')),
    stop: async () => {
      for (const child of children.reverse()) {
        const gone = new Promise((done) => child.once('exit', done));
        if (child.exitCode === null && child.kill('SIGTERM')) await gone;
      }
    },
  };
}
