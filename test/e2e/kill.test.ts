import { sendLoad, waitFor } from '@waypost/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.js';

const MESSAGES = 2000;
const SESSIONS = 20;
/** Transactions that delivery may have between the final dot and its record: connections of the lane. */
const CONNECTIONS = 20;

let cluster: Cluster;
beforeEach(async () => {
  cluster = await startCluster(1);
});
afterEach(() => cluster?.stop());

/** Sends a load while something dies in its middle. @returns how many messages the client sent twice. */
async function sendWhile(disaster: () => Promise<void>): Promise<number> {
  const [ingress] = cluster.processes.ingress;
  const sending = sendLoad({ port: ingress?.port('trusted') ?? 0, messages: MESSAGES, sessions: SESSIONS });
  await waitFor('a quarter to arrive', () => cluster.peer.messages.length >= MESSAGES / 4);
  await disaster();
  const { accepted, repeated } = await sending;
  expect(accepted).toBe(MESSAGES);
  return repeated;
}

async function killAndRestart(service: 'ingress' | 'policy' | 'delivery'): Promise<void> {
  const [process] = cluster.processes[service];
  await process?.kill();
  await process?.restart();
}

describe('kill -9 in the middle of 2,000 messages loses none', () => {
  it('of ingress: duplicates are only what clients sent again unheard', async () => {
    const repeated = await sendWhile(() => killAndRestart('ingress'));
    expect(await cluster.settled(MESSAGES)).toBeLessThanOrEqual(Math.min(repeated, SESSIONS));
  });

  it('of policy: nothing comes twice', async () => {
    await sendWhile(() => killAndRestart('policy'));
    expect(await cluster.settled(MESSAGES)).toBe(0);
  });

  it('of delivery: duplicates are only what was between the final dot and its record', async () => {
    await sendWhile(() => killAndRestart('delivery'));
    expect(await cluster.settled(MESSAGES)).toBeLessThanOrEqual(CONNECTIONS);
  });

  it('of Redis: duplicates are only what was sent again unheard or was not recorded', async () => {
    const repeated = await sendWhile(async () => {
      await cluster.redis.kill();
      await cluster.redis.restart();
    });
    expect(await cluster.settled(MESSAGES)).toBeLessThanOrEqual(Math.min(repeated, 2 * SESSIONS) + CONNECTIONS);
  });
});
