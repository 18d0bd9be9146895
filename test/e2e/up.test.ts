import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { end, freePort, run, waitFor } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call, email } from '../support/http.js';

const MAIN = resolve(import.meta.dirname, '../../services/waypost/dist/main.js');

let dir: string;
let config: string;
let redisPort: number;
let child: ChildProcess;
let output = '';

async function up(): Promise<{ http: string; api: string; key: string }> {
  output = '';
  child = spawn(process.execPath, [MAIN, 'up', '--data', join(dir, 'data'), '--config', config], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const read = (data: Buffer) => {
    output += data.toString();
  };
  child.stdout?.on('data', read);
  child.stderr?.on('data', read);
  await waitFor('the start-up message', () => {
    if (child.exitCode !== null) throw new Error(output);
    return output.includes('Ctrl-C stops it');
  });
  const find = (pattern: RegExp) => pattern.exec(output)?.[1] ?? '';
  return { http: find(/HTTP API\s+(\S+)/), api: find(/Caught mail\s+(\S+)/), key: find(/API key\s+(wp_\S+)/) };
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'waypost-up-'));
  config = join(dir, 'ports.json');
  redisPort = await freePort();
  writeFileSync(
    config,
    JSON.stringify({
      redis: { embedded: { dir: join(dir, 'data/redis'), port: redisPort } },
      http: { port: await freePort() },
      api: { port: await freePort() },
      telemetry: { metrics_port: await freePort() },
      listeners: [{ name: 'trusted', kind: 'relay', port: await freePort(), tls: 'none', allow: ['127.0.0.0/8'] }],
    }),
  );
});
afterAll(async () => {
  if (child) await end(child);
  rmSync(dir, { recursive: true, force: true });
});

describe('waypost up', () => {
  it('starts with a Redis of its own, prints what is needed, and what it prints works', async () => {
    const { http, api, key } = await up();
    const line = output.split('\n').find((one) => one.trim().startsWith('curl '));
    const { stdout } = await run('sh', ['-c', line as string]);
    expect(JSON.parse(stdout)).toEqual({ id: expect.stringMatching(/^[0-9a-f-]{36}$/) });
    await waitFor('caught mail', async () => (await call(api, '/admin/v1/caught')).body.data.length === 1);
    expect((await call(http, `/v1/emails/${JSON.parse(stdout).id}`, { key })).body.last_event).toBe('delivered');
    expect(statSync(join(dir, 'data/first-api-key')).mode & 0o077).toBe(0);
  });

  it('starts its Redis again when that dies, and goes on', async () => {
    const { http, key } = {
      http: /HTTP API\s+(\S+)/.exec(output)?.[1] ?? '',
      key: /API key\s+(wp_\S+)/.exec(output)?.[1],
    };
    const before = await run('redis-cli', ['-p', String(redisPort), 'info', 'server']);
    process.kill(Number(/process_id:(\d+)/.exec(before.stdout)?.[1]), 'SIGKILL');
    await waitFor('a message to be taken again', async () => {
      const answer = await call(http, '/v1/emails', { key, body: email('after the crash') });
      return answer.status === 200;
    });
  });

  it('ends cleanly at Ctrl-C, with its Redis, and has everything again at the next start', async () => {
    const { key } = { key: /API key\s+(wp_\S+)/.exec(output)?.[1] };
    expect(await end(child, 'SIGINT')).toBe(0);
    await expect(run('redis-cli', ['-p', String(redisPort), 'ping'])).resolves.toMatchObject({ code: 1 });
    const again = await up();
    expect(again.key).toBe(key);
    await waitFor('the mail of before', async () => (await call(again.api, '/admin/v1/caught')).body.data.length >= 2);
  });

  it('says what to do where its port is taken', async () => {
    const { code, stderr } = await run(process.execPath, [
      MAIN,
      'up',
      '--data',
      join(dir, 'other'),
      '--config',
      config,
    ]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/port|in use|EADDRINUSE/i);
    expect(stderr).not.toMatch(/\n\s+at /);
  });
});
