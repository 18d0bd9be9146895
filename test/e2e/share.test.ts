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
  const loads = ingress.map((one) => sendLoad({ port: one.port('trusted'), messages: MESSAGES / 2, sessions: 10 }));
  await Promise.all(loads);
  // Both loads number their messages alike, so that each number is to come twice.
  await cluster.settled(MESSAGES / 2);
  expect(cluster.peer.messages).toHaveLength(MESSAGES);
  for (const one of policy) expect(await one.metric('waypost_policy_verdicts_total')).toBeGreaterThan(0);
  for (const one of delivery) expect(await one.metric('waypost_delivery_attempts_total')).toBeGreaterThan(0);
  const delivered = await Promise.all(delivery.map((one) => one.metric('waypost_delivery_attempts_total')));
  expect(delivered.reduce((sum, value) => sum + value, 0)).toBe(MESSAGES);
});
