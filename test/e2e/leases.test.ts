import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { countNumbers, SmtpPeer, sendLoad, startRedis, startWaypost, waitFor } from '@waypost/testkit';
import { afterAll, beforeAll, expect, it } from 'vitest';

const RATE = 40;
const CONNECTIONS = 4;
const MESSAGES = 1200;
/** How long leases of the dead stand at most, ms. */
const LEASE = 30_000;
const SECOND = 1_000;
/** Messages that a limit by second lets through at once, where a session was late. */
const BURST = 4;

/** When each message was taken by the next hop, and how many connections there were at most. */
const taken: number[] = [];
let most = 0;
let peer: SmtpPeer;
const stops: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  peer = await SmtpPeer.start({
    script: (phase) => {
      if (phase === 'greeting') most = Math.max(most, peer.open);
      if (phase === 'dot') taken.push(performance.now());
      return undefined;
    },
  });
});
afterAll(async () => {
  for (const stop of stops.reverse()) await stop();
  await peer?.stop();
});

/** @returns the most messages within any second of a span of time. */
function mostInASecond(from: number, to: number): number {
  const times = taken.filter((at) => at >= from && at <= to);
  return Math.max(0, ...times.map((start, at) => times.slice(at).filter((time) => time < start + SECOND).length));
}

const inLast = (milliseconds: number) => taken.filter((at) => at > performance.now() - milliseconds).length;

it('two of three delivery processes that die with their leases let the third go on at the full rate, and no limit is overrun', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'waypost-leases-'));
  const redis = await startRedis();
  stops.push(
    async () => rmSync(dir, { recursive: true, force: true }),
    () => redis.stop(),
  );
  const start = async (...services: string[]) => {
    const one = await startWaypost({
      redis: redis.url,
      services,
      dir,
      listeners: services.includes('ingress') ? [{ name: 'trusted' }] : [],
      config: {
        routes: [{ match: '*', to: `smtp://127.0.0.1:${peer.port}`, tls: 'none' }],
        shaping: [{ site_rate: `${RATE}/s`, site_connections: CONNECTIONS }],
        telemetry: { log_level: 'warn' },
      },
    });
    stops.push(() => one.stop());
    return one;
  };
  const front = await start('ingress', 'policy', 'events');
  const victims = await Promise.all([start('delivery'), start('delivery')]);
  const began = performance.now();
  await sendLoad({ port: front.port('trusted'), messages: MESSAGES, sessions: 10, size: 200 });
  const fullRate = () => inLast(5 * SECOND) >= 5 * RATE * 0.9;
  await waitFor('the full rate', fullRate);
  // It comes when the others have all the leases.
  const survivor = await start('delivery');
  await Promise.all(victims.map((one) => one.kill()));
  const killed = performance.now();
  const since = () => taken.filter((at) => at > killed).length;
  const again = () => since() >= 5 * RATE && fullRate();
  await waitFor('the full rate again', again, LEASE + 5 * SECOND);
  console.log(
    `full rate again ${((performance.now() - killed) / SECOND - 5).toFixed(1)} s after the processes were killed`,
  );
  await waitFor('every message', () => countNumbers(peer.messages.map(({ body }) => body)).size === MESSAGES, 60_000);
  expect(await survivor.metric('waypost_delivery_attempts_total')).toBeGreaterThan(0);
  expect(most).toBeLessThanOrEqual(CONNECTIONS);
  expect(mostInASecond(began, performance.now())).toBeLessThanOrEqual(RATE + BURST);
}, 150_000);
