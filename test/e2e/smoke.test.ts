import {
  SmtpDialog,
  SmtpPeer,
  startRedis,
  startWaypost,
  type TestRedis,
  type WaypostProcess,
  waitFor,
} from '@waypost/testkit';
import { afterAll, beforeAll, expect, it } from 'vitest';

let redis: TestRedis;
let peer: SmtpPeer;
let waypost: WaypostProcess;

beforeAll(async () => {
  redis = await startRedis();
  peer = await SmtpPeer.start();
  waypost = await startWaypost({
    redis: redis.url,
    listeners: [{ name: 'trusted' }],
    config: { routes: [{ match: '*', to: `smtp://127.0.0.1:${peer.port}`, tls: 'none' }] },
  });
});
afterAll(async () => {
  await waypost?.stop();
  await peer?.stop();
  await redis?.stop();
});

it('relays a message, byte for byte behind its own Received field', async () => {
  const dialog = await SmtpDialog.open(waypost.port('trusted'));
  await dialog.reply();
  await dialog.say('EHLO client.test');
  await dialog.say('MAIL FROM:<a@example.com>');
  await dialog.say('RCPT TO:<b@example.org>');
  expect(await dialog.say('DATA')).toMatch(/^354/);
  dialog.write('Subject: one\r\n\r\n..dot\r\nend\r\n.\r\n');
  expect(await dialog.reply()).toMatch(/^250 2\.\d\.\d .*queued as/i);
  await waitFor('the message', () => peer.messages.length === 1);
  const [message] = peer.messages;
  expect(message?.mail).toMatch(/^MAIL FROM:<a@example.com>/);
  expect(message?.body.toString()).toMatch(/\r\nReceived: [\s\S]*\r\nSubject: one\r\n\r\n\.dot\r\nend\r\n$/);
  dialog.close();
});
