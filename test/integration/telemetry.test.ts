import { join } from 'node:path';
import { run, waitFor } from '@waypost/testkit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Relay, startRelay } from '../support/relay.js';
import { submit } from '../support/track.js';

const MAIN = join(import.meta.dirname, '../../services/waypost/dist/main.js');

let relay: Relay;
beforeAll(async () => {
  relay = await startRelay({
    config: {
      routes: [
        { match: 'smoke.waypost.invalid', to: 'sink' },
        { match: '*', to: 'smtp://127.0.0.1:9', tls: 'none' },
      ],
      shaping: [{ match: '127.0.0.1', site_rate: '1/h' }],
      delivery: { retry: { initial: '1h' } },
    },
  });
});
afterAll(() => relay?.stop());

const jobs = async (state: string) => relay.waypost.metric(`waypost_queue_jobs{queue="delivery",state="${state}"}`);

it('tells apart what waits for a limit and what waits for its time, and what Redis uses', async () => {
  for (let count = 0; count < 4; count += 1) await submit(relay, 'limited', { to: 'b@limited.test' });
  await waitFor('the queues to be measured', async () => (await jobs('limited')) === 3, 45_000);
  expect(await jobs('delayed')).toBe(1);
  expect(await jobs('waiting')).toBe(0);
  expect(await relay.waypost.metric('waypost_redis_memory_bytes')).toBeGreaterThan(100_000);
  expect(await relay.waypost.metric('waypost_config_last_reload_successful')).toBe(1);
}, 60_000);

it('sends a message through for whoever asks whether it does', async () => {
  const args = [MAIN, 'smoke', '--config', relay.waypost.file, '--http', relay.waypost.http];
  const { code, stdout, stderr } = await run(process.execPath, args);
  expect(`${stdout}${stderr}`).toMatch(/accepted as [0-9a-f-]{36}\ndelivered after \d+ ms/);
  expect(code).toBe(0);
  const late = await run(process.execPath, [...args, '--to', 'b@limited.test', '--within', '1']);
  expect(late.stderr).toMatch(/the message is still (queued|accepted|deferred) after 1000 ms/);
  expect(late.code).toBe(1);
}, 60_000);
