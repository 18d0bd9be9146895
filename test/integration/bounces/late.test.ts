import type { MessageEvent } from '@waypost/mail';
import { openRedis, type RedisHandle } from '@waypost/redis';
import { EVENT_STREAM } from '@waypost/store';
import { waitFor } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call } from '../../support/http.js';
import { redisConfig } from '../../support/redis-servers.js';
import { arrival, type Relay, startRelay } from '../../support/relay.js';
import { complaint, postfixLike, report } from '../../support/reports.js';
import { submit } from '../../support/track.js';

let relay: Relay;
let redis: RedisHandle;
beforeAll(async () => {
  relay = await startRelay({
    listeners: [
      { name: 'trusted' },
      { name: 'blue', tenant: 'blue' },
      { name: 'inbound', kind: 'mx', allow: [], domains: [], banner_delay: '0ms' },
    ],
    config: {
      delivery: { retention: '1s' },
      bounces: {
        domain: 'bounces.example.com',
        secret: '0123456789abcdef0123456789abcdef',
        verp: 'message',
        postmaster: 'people@example.net',
        forward: false,
      },
    },
  });
  redis = await openRedis(redisConfig({ url: relay.redis.url }));
});
afterAll(async () => {
  await redis?.close();
  await relay?.stop();
});

const pathOf = (line: string) => /<([^>]*)>/.exec(line)?.[1] ?? '';
const suppressed = async (who: string) => (await call(relay.waypost.http, `/v1/suppressions/${who}`)).status === 200;

/** Sends a message, and waits until its record has gone. */
async function forgotten(subject: string, to: string, listener = 'trusted') {
  const id = await submit(relay, subject, { to, listener });
  const message = await arrival(relay.peer, subject);
  await waitFor(`the record of ${id} to go`, async () => {
    return (await call(relay.waypost.http, `/v1/emails/${id}`)).status === 404;
  });
  return { id, message, path: pathOf(message.mail) };
}

async function eventsOf(id: string): Promise<MessageEvent[]> {
  const entries = await redis.client.xrange(EVENT_STREAM, '-', '+');
  const texts = entries.flatMap(([, fields]) => fields.filter((_, at) => at % 2 === 1));
  return texts.map((text) => JSON.parse(text) as MessageEvent).filter((event) => event.id === id);
}

describe('what comes after the record of its message has gone', () => {
  it('is an event, and suppresses whom it is about', async () => {
    const { id, path } = await forgotten('long ago', 'gone@example.org');
    expect(await report(relay, path, postfixLike({ recipient: 'gone@example.org', to: path }))).toMatch(/^250/);
    const oob = await waitFor('the event', async () => (await eventsOf(id)).find(({ type }) => type === 'OOB'));
    expect(oob).toMatchObject({ rcpts: [0], cause: 'user_unknown', reply: { code: 550, enhanced: '5.1.1' } });
    expect(await suppressed('gone@example.org')).toBe(true);
    // It makes no record anew.
    expect((await call(relay.waypost.http, `/v1/emails/${id}`)).status).toBe(404);
    expect(relay.peer.messages.some(({ mail }) => mail.startsWith('MAIL FROM:<>'))).toBe(false);
  });

  it('may hide who complained: he is found, and kept from that tenant alone', async () => {
    const { id, path, message } = await forgotten('long ago too', 'sub@example.org', 'blue');
    const original = message.body.toString().replaceAll('sub@example.org', 'redacted@isp.example');
    await report(relay, path, complaint(original));
    await waitFor('the event', async () => (await eventsOf(id)).find(({ type }) => type === 'Feedback'));
    const entries = await redis.client.hkeys('wp:suppressions');
    expect(entries).toContain('blue\tsub@example.org');
    expect(await suppressed('sub@example.org')).toBe(false);
  });
});

it('what nobody can read goes to the postmaster from the null sender, word for word', async () => {
  const { path } = await forgotten('riddle', 'odd@example.org');
  const body = 'From: odd@example.org\r\nSubject: a riddle\r\n\r\nWhat is this?\r\n';
  await report(relay, path, body, 'odd@example.org');
  const copy = await arrival(relay.peer, 'a riddle');
  expect(copy.mail).toMatch(/^MAIL FROM:<>/);
  expect(copy.rcpts[0]).toMatch(/^RCPT TO:<people@example\.net>/);
  expect(copy.body.toString()).toContain(body);
  expect(await relay.waypost.metric('waypost_returned_total{kind="unknown",result="forwarded"}')).toBe(1);
});
