import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig } from '@waypost/config';
import { openRedis, type RedisHandle } from '@waypost/redis';
import { SuppressionStore } from '@waypost/store';
import { SmtpDialog, SmtpPeer, waitFor } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arrival, type Relay, startRelay } from '../../support/relay.js';
import { dsnOf, eventTypes, states, submit } from '../../support/track.js';

let peer: SmtpPeer;
let relay: Relay;
let redis: RedisHandle;
beforeAll(async () => {
  peer = await SmtpPeer.start();
  const to = `smtp://127.0.0.1:${peer.port}`;
  relay = await startRelay({
    listeners: [
      { name: 'trusted' },
      { name: 'inbound', kind: 'mx', allow: [], domains: ['example.org', 'nowhere.test'], banner_delay: '0ms' },
    ],
    config: {
      routes: [
        { match: 'example.org', to, tls: 'none' },
        { match: '*.example.org', to: 'sink' },
        { match: 'example.com', to, tls: 'none' },
      ],
    },
  });
  redis = await openRedis({ ...loadConfig({ env: {} }).redis, url: relay.redis.url });
  await new SuppressionStore(redis.group).put(
    { address: 'Never@example.org', cause: 'manual', reason: 'asked', at: Date.now() },
    { maxEntries: 10 },
  );
});
afterAll(async () => {
  await redis?.close();
  await relay?.stop();
  await peer?.stop();
});

const blobs = () =>
  readdirSync(join(relay.waypost.dir, 'spool'), { recursive: true, withFileTypes: true }).filter((one) => one.isFile());

describe('policy', () => {
  it('refuses recipients that no route leads to, tells the sender, and sends to the others', async () => {
    const id = await submit(relay, 'half routed', { to: ['b@example.org', 'b@nowhere.test'] });
    const [, refused] = await states(relay, id, 'delivered', 'rejected');
    expect(refused?.last_response).toMatchObject({ code: 550, enhanced: '5.4.4' });
    const { status } = await dsnOf(peer, id);
    expect(status[1]).toMatchObject({ 'final-recipient': 'rfc822; b@nowhere.test', action: 'failed', status: '5.4.4' });
  });

  it('takes the first route that matches', async () => {
    const id = await submit(relay, 'first route', { to: ['b@example.org', 'b@sub.example.org'] });
    const [one, two] = await states(relay, id, 'delivered', 'delivered');
    expect(one?.last_response?.text).toBe('taken');
    expect(two?.last_response?.text).not.toBe('taken');
  });

  it('never sends to a suppressed recipient, and lets go of a body that nobody needs', async () => {
    const body = `${'x'.repeat(70)}\r\n`.repeat(2000);
    const before = blobs().length;
    const id = await submit(relay, 'suppressed', { to: 'never@EXAMPLE.org', body });
    await states(relay, id, 'suppressed');
    expect(await eventTypes(relay, id)).toEqual(['Reception', 'Suppressed']);
    await waitFor('the body to go', () => blobs().length === before);
    await submit(relay, 'after suppressed');
    await arrival(peer, 'after suppressed');
    expect(peer.commands.some((line) => /^RCPT TO:<never@/i.test(line))).toBe(false);
    expect((await dsnOf(peer, id)).status[1]).toMatchObject({ action: 'failed' });
  });

  it('sends no DSN for what came from outside, whose sender may be forged', async () => {
    const dialog = await SmtpDialog.open(relay.waypost.port('inbound'));
    await dialog.reply();
    await dialog.say('EHLO outside.test');
    await dialog.say('MAIL FROM:<forged@example.com>');
    await dialog.say('RCPT TO:<b@nowhere.test>');
    await dialog.say('DATA');
    dialog.write('Subject: from outside\r\n\r\nx\r\n.\r\n');
    const id = /queued as (\S+)/.exec(await dialog.reply())?.[1] ?? '';
    dialog.close();
    await states(relay, id, 'rejected');
    await submit(relay, 'after outside');
    await arrival(peer, 'after outside');
    expect(peer.messages.some(({ rcpts }) => rcpts[0]?.includes('forged@'))).toBe(false);
  });
});
