import { waitFor } from '@waypost/testkit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { mostWithin, type Sites, startSites } from '../support/sites.js';

const MESSAGES = 360;
const RATE = 40;
const CONNECTIONS = 4;
const SECOND = 1000;
const BURST = 4;
/** Longer than leases stand (30 s) and than a process may be silent (20 s), ms. */
const AWAY = 32_000;
const HOST = 'mx.one.test';

let sites: Sites;
beforeAll(async () => {
  sites = await startSites({
    deliveries: 2,
    hosts: { [HOST]: '127.0.7.1' },
    domains: { 'one.test': [HOST] },
    config: {
      shaping: [{ mx: HOST, site_rate: `${RATE}/s`, site_connections: CONNECTIONS }],
      telemetry: { log_level: 'warn' },
    },
  });
});
afterAll(() => sites?.stop());

it('with Redis away, what was handed out is finished within its limits, nothing else goes, and later the rest does, once', async () => {
  const host = sites.host(HOST);
  // So slow that every connection has a message under way at any time.
  host.answer = (phase) => new Promise((resolve) => setTimeout(() => resolve(undefined), phase === 'dot' ? 90 : 0));
  await sites.load(['one.test'], MESSAGES);
  await waitFor('mail to be under way', () => host.taken.length > RATE);
  await sites.redis.kill();
  const gone = performance.now();
  await new Promise((resolve) => setTimeout(resolve, AWAY));
  const back = performance.now();
  const meanwhile = host.taken.filter((at) => at > gone && at < back).length;
  expect(meanwhile).toBeGreaterThan(0);
  expect(meanwhile).toBeLessThanOrEqual(CONNECTIONS);
  expect(host.taken.length).toBeLessThan(MESSAGES);
  // A lease that Redis may give to others is no right to a connection any more.
  await waitFor('the connections to be let go', () => host.peer.open === 0);

  await sites.redis.restart();
  await sites.arrived([HOST], MESSAGES);
  expect(mostWithin(SECOND, host.taken)).toBeLessThanOrEqual(RATE + BURST);
  expect(host.most).toBeLessThanOrEqual(CONNECTIONS);
  const attempts = await Promise.all(sites.deliveries.map((one) => one.metric('waypost_delivery_attempts_total')));
  expect(attempts.every((count) => count > 0)).toBe(true);
}, 100_000);
