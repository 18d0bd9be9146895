import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { TEST_KEY, waitFor } from '@waypost/testkit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';

let collector: Server;
const exports: Buffer[] = [];
let cluster: Cluster;

beforeAll(async () => {
  collector = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      exports.push(Buffer.concat(chunks));
      response.setHeader('content-type', 'application/x-protobuf').end();
    });
  });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
  cluster = await startCluster(1, { telemetry: { log_level: 'info', otlp_endpoint: endpoint } });
});
afterAll(async () => {
  await cluster?.stop();
  collector?.close();
});

it('follows one message by its trace id through every service, in logs, events and spans', async () => {
  const { ingress, policy, delivery } = cluster.processes;
  const [http] = ingress;
  const sent = await fetch(`${http?.http}/v1/emails`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${TEST_KEY}`,
      'content-type': 'application/json',
      traceparent: `00-${TRACE}-00f067aa0ba902b7-01`,
    },
    body: JSON.stringify({ from: 'app@example.com', to: 'to@example.org', subject: 'traced', text: 'here' }),
  });
  expect(sent.status).toBe(200);
  const { id } = (await sent.json()) as { id: string };
  await waitFor('the message to arrive', () => cluster.peer.messages.length === 1);

  for (const [process, record] of [
    [ingress[0], 'Reception'],
    [policy[0], 'Queued'],
    [delivery[0], 'Delivery'],
  ] as const) {
    const line = await waitFor(`a log line of ${record}`, () => process?.log.find((one) => one.record === record));
    expect(line).toMatchObject({ id, trace_id: TRACE });
  }

  const traceId = Buffer.from(TRACE, 'hex');
  for (const service of ['waypost-ingress', 'waypost-policy', 'waypost-delivery']) {
    await waitFor(`a span of ${service}`, () =>
      exports.some((body) => body.includes(service) && body.includes(traceId)),
    );
  }
});
