import { sendLoad } from '@waypost/testkit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.js';

const MESSAGES = 2000;

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster(2);
});
afterAll(() => cluster?.stop());

it('shares 2,000 messages between two processes of each service: all arrive once, each did some', async () => {
  const { ingress, policy, delivery } = cluster.processes;
  const half = MESSAGES / 2;
  await Promise.all(
    ingress.map((one, at) => sendLoad({ port: one.port('trusted'), messages: half, first: at * half, sessions: 10 })),
  );
  expect(await cluster.settled(MESSAGES)).toBe(0);
  for (const one of policy) expect(await one.metric('waypost_policy_verdicts_total')).toBeGreaterThan(0);
  for (const one of delivery) expect(await one.metric('waypost_delivery_attempts_total')).toBeGreaterThan(0);
  const delivered = await Promise.all(delivery.map((one) => one.metric('waypost_delivery_attempts_total')));
  expect(delivered.reduce((sum, value) => sum + value, 0)).toBe(MESSAGES);
});
