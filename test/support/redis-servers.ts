import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig, type RedisConfig } from '@waypost/config';
import { end, freePort, waitFor } from '@waypost/testkit';

/** @returns a section as the configuration would give it. */
export function redisConfig(settings: Record<string, unknown>): RedisConfig {
  return loadConfig({ text: JSON.stringify({ redis: settings }) }).redis;
}

/** Another kind of redis-server than the test kit's: a sentinel, or one that speaks TLS only. */
export interface Server {
  readonly port: number;
  stop(): Promise<void>;
}

/**
 * Starts `redis-server file`, ready once its port takes connections.
 * @param lines of its configuration, made from its port.
 */
export async function startServer(
  lines: (port: number) => readonly string[],
  args: readonly string[] = [],
): Promise<Server> {
  const port = await freePort();
  const dir = mkdtempSync(join(tmpdir(), 'waypost-server-'));
  const file = join(dir, 'redis.conf');
  writeFileSync(file, ['bind 127.0.0.1', `dir ${dir}`, ...lines(port), ''].join('\n'));
  const child: ChildProcess = spawn('redis-server', [file, ...args], { stdio: 'ignore' });
  await waitFor(`redis-server on port ${port}`, () => {
    if (child.exitCode !== null) throw new Error(`redis-server ended with code ${child.exitCode}`);
    return listens(port);
  });
  return {
    port,
    stop: async () => {
      await end(child, 'SIGKILL');
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const done = (yes: boolean) => {
      socket.destroy();
      resolve(yes);
    };
    socket.once('connect', () => done(true)).once('error', () => done(false));
  });
}
