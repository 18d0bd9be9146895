import { sendLoad, waitFor } from '@waypost/testkit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.js';

const MESSAGES = 3000;

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster(2);
});
afterAll(() => cluster?.stop());

it('a process of each service that is told to end in the middle of a load ends cleanly: nothing is lost, nothing comes twice', async () => {
  const { ingress, policy, delivery } = cluster.processes;
  const [staying] = ingress;
  const sending = sendLoad({ port: staying?.port('trusted') ?? 0, messages: MESSAGES, sessions: 10 });
  for (const [at, leaving] of [ingress[1], policy[0], delivery[0]].entries()) {
    await waitFor('more mail to arrive', () => cluster.peer.messages.length >= (MESSAGES / 6) * (at + 1));
    expect(await leaving?.end()).toBe(0);
  }
  const { accepted, repeated } = await sending;
  expect({ accepted, repeated }).toEqual({ accepted: MESSAGES, repeated: 0 });
  expect(await cluster.settled(MESSAGES)).toBe(0);
});

it('ingress answers the messages it has begun to take before it ends', async () => {
  const [leaving] = cluster.processes.ingress;
  const before = cluster.peer.messages.length;
  const sending = sendLoad({
    port: leaving?.port('trusted') ?? 0,
    messages: 500,
    first: 10_000,
    sessions: 10,
    timeout: 5_000,
  });
  await waitFor('the first of them', () => cluster.peer.messages.length > before + 50);
  let accepted = 0;
  const ended = sending.catch((error: Error) => {
    accepted = Number(/only (\d+) of/.exec(error.message)?.[1] ?? -1);
  });
  expect(await leaving?.end()).toBe(0);
  await ended;
  expect(accepted).toBeGreaterThan(0);
  await waitFor('all that was accepted', () => cluster.peer.messages.length >= before + accepted);
  expect(cluster.peer.messages.length).toBe(before + accepted);
});
