import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MessageEvent } from '@waypost/mail';
import { openRedis, type RedisHandle } from '@waypost/redis';
import { EVENT_STREAM } from '@waypost/store';
import { SmtpPeer, startRedis, startWaypost, type TestRedis, type WaypostProcess, waitFor } from '@waypost/testkit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { redisConfig } from '../../support/redis-servers.js';
import type { Relay } from '../../support/relay.js';
import { ended, postfixLike, report } from '../../support/reports.js';
import { eventTypes, states, submit } from '../../support/track.js';

const MESSAGES = 60;
const dir = mkdtempSync(join(tmpdir(), 'waypost-reports-'));
let redis: TestRedis;
let handle: RedisHandle;
let peer: SmtpPeer;
let policy: WaypostProcess;
let relay: Relay;
beforeAll(async () => {
  redis = await startRedis();
  peer = await SmtpPeer.start();
  handle = await openRedis(redisConfig({ url: redis.url }));
  const start = (services: string[]) =>
    startWaypost({
      redis: redis.url,
      services,
      dir,
      listeners: services.includes('ingress')
        ? [
            { name: 'trusted' },
            { name: 'inbound', kind: 'mx', allow: [], domains: ['example.org'], banner_delay: '0ms' },
          ]
        : [],
      config: {
        routes: [{ match: '*', to: `smtp://127.0.0.1:${peer.port}`, tls: 'none' }],
        bounces: { domain: 'bounces.example.com', secret: '0123456789abcdef0123456789abcdef', verp: 'recipient' },
        telemetry: { log_level: 'warn' },
      },
    });
  policy = await start(['policy']);
  const waypost = await start(['ingress', 'delivery']);
  relay = { redis, peer, waypost, stop: async () => undefined };
});
afterAll(async () => {
  await policy?.stop();
  await relay?.waypost.stop();
  await peer?.stop();
  await handle?.close();
  await redis?.stop();
  rmSync(dir, { recursive: true, force: true });
});

/** Ids of the messages that the stream has a late bounce of, one for each. */
async function bounced(): Promise<string[]> {
  const entries = await handle.client.xrange(EVENT_STREAM, '-', '+');
  const events = entries.flatMap(([, fields]) =>
    fields.filter((_, at) => at % 2 === 1).map((text) => JSON.parse(text) as MessageEvent),
  );
  return events.filter(({ type }) => type === 'OOB').map(({ id }) => id);
}

it('a bounce is noted once, though its process is killed while it reads a heap of them', async () => {
  const ids = await Promise.all(
    Array.from({ length: MESSAGES }, (_, at) => submit(relay, `number ${at}`, { to: `r${at}@example.org` })),
  );
  for (const id of ids) await states(relay, id, 'delivered');
  await policy.kill();
  // Accepted while nobody reads them: 250 means that they are kept.
  const replies: string[] = [];
  for (const { mail, rcpts } of peer.messages) {
    const [to = '', recipient = ''] = [mail, rcpts[0] ?? ''].map((line) => /<([^>]*)>/.exec(line)?.[1] ?? '');
    replies.push(await report(relay, to, postfixLike({ recipient, to })));
  }
  expect(replies.every((reply) => reply.startsWith('250'))).toBe(true);
  await policy.restart();
  await waitFor('the first to be read', async () => (await bounced()).length > 0);
  await policy.kill();
  const before = (await bounced()).length;
  expect(before).toBeLessThan(MESSAGES);
  await policy.restart();
  for (const reply of replies) await ended(relay, reply);
  expect((await bounced()).sort()).toEqual([...ids].sort());
  for (const id of ids) {
    expect((await eventTypes(relay, id)).filter((type) => type === 'OOB')).toHaveLength(1);
  }
}, 120_000);
