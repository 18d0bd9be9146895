import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { freePort } from './ports.js';
import { end } from './programs.js';
import { waitFor } from './wait.js';

const MAIN = resolve(import.meta.dirname, '../../../services/waypost/dist/main.js');

type Settings = Record<string, unknown>;
type ListenerSettings = Settings & { readonly name: string; readonly port?: number };

export interface WaypostOptions {
  /** URL of the Redis it uses. */
  readonly redis: string;
  /** Services of this process; all where left out. */
  readonly services?: readonly string[];
  /** A folder that several processes share, for their spool; one of its own where left out. */
  readonly dir?: string;
  /** Without a port each listener gets a free one. */
  readonly listeners?: readonly ListenerSettings[];
  /** Further sections of the configuration, merged over the test's defaults one level deep. */
  readonly config?: Settings;
  readonly env?: Readonly<Record<string, string>>;
}

/** A key every process started here knows, with all scopes. */
export const TEST_KEY = 'wp_test_0123456789abcdef0123456789abcdef';

/** A real process of Waypost's services, ready to be used. */
export interface WaypostProcess {
  readonly http: string;
  readonly api: string;
  readonly metricsPort: number;
  readonly file: string;
  readonly dir: string;
  port(listener: string): number;
  readonly pid: number;
  /** Lines of its log that are JSON, parsed. */
  readonly log: readonly Record<string, unknown>[];
  /** All it wrote. */
  readonly output: string;
  metric(name: string): Promise<number>;
  kill(): Promise<void>;
  /** Asks it to end (SIGTERM). @returns its exit code. */
  end(): Promise<number | null>;
  /** The same, and removes its files. */
  stop(): Promise<number | null>;
  /** Starts it again after a kill or stop, with the same ports and data. */
  restart(): Promise<void>;
}

/** Starts services as processes do in production: `waypost run … --config file`; resolves when they are ready. */
export async function startWaypost(options: WaypostOptions): Promise<WaypostProcess> {
  const own = mkdtempSync(join(tmpdir(), 'waypost-'));
  const dir = options.dir ?? own;
  const [http, api, metrics] = [await freePort(), await freePort(), await freePort()];
  const listeners: (Settings & { name: string; port: number })[] = [];
  for (const listener of options.listeners ?? []) {
    listeners.push({ tls: 'none', kind: 'relay', allow: ['127.0.0.0/8'], port: await freePort(), ...listener });
  }
  const defaults: Record<string, Settings> = {
    server: { hostname: 'relay.test' },
    redis: { url: options.redis },
    spool: { dir: join(dir, 'spool') },
    http: { port: http },
    api: { port: api, open_on_loopback: true },
    tls: { self_signed_dir: join(dir, 'tls') },
    telemetry: { metrics_port: metrics, log_level: 'info' },
  };
  const config: Settings = {
    keys: [{ id: 'test', secret: TEST_KEY, scopes: ['send', 'read', 'admin'] }],
    routes: [{ match: '*', to: 'sink' }],
    ...defaults,
    listeners,
  };
  for (const [name, value] of Object.entries(options.config ?? {})) {
    config[name] = Array.isArray(value) ? value : { ...defaults[name], ...(value as Settings) };
  }
  const file = join(own, 'waypost.json');
  writeFileSync(file, JSON.stringify(config, null, 2));

  let child: ChildProcess;
  let output = '';
  const log: Record<string, unknown>[] = [];
  const start = async () => {
    const names = options.services ?? ['all'];
    child = spawn(process.execPath, [MAIN, 'run', ...names, '--config', file], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
    });
    let rest = '';
    const read = (data: Buffer) => {
      output += data.toString();
      const lines = (rest + data.toString()).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line.startsWith('{')) log.push(JSON.parse(line) as Record<string, unknown>);
    };
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
    await waitFor(`waypost ${names.join(' ')} to be ready`, async () => {
      if (child.exitCode !== null) throw new Error(`ended with code ${child.exitCode}: ${output}`);
      return (await fetch(`http://127.0.0.1:${metrics}/readyz`)).ok;
    });
  };
  await start();
  return {
    http: `http://127.0.0.1:${http}`,
    api: `http://127.0.0.1:${api}`,
    metricsPort: metrics,
    file,
    dir,
    port: (name) => {
      const found = listeners.find((listener) => listener.name === name);
      if (!found) throw new Error(`there is no listener ${name}`);
      return found.port;
    },
    get pid() {
      return child.pid ?? 0;
    },
    log,
    get output() {
      return output;
    },
    async metric(name) {
      const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
      const lines = text.split('\n').filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
      return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
    },
    kill: async () => {
      await end(child, 'SIGKILL');
    },
    end: () => end(child),
    stop: async () => {
      const code = await end(child);
      rmSync(own, { recursive: true, force: true });
      return code;
    },
    restart: start,
  };
}
