import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SmtpPeer, startRedis, startWaypost, type TestRedis, type WaypostProcess, waitFor } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { greet, sendMessage } from '../../support/relay.js';

let redis: TestRedis;
let peer: SmtpPeer;
let ingress: WaypostProcess;
let rest: WaypostProcess | undefined;
let dir: string;
let config: Record<string, unknown>;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'waypost-full-'));
  redis = await startRedis(['--maxmemory', '6mb']);
  peer = await SmtpPeer.start();
  config = {
    routes: [{ match: '*', to: `smtp://127.0.0.1:${peer.port}`, tls: 'none' }],
    telemetry: { log_level: 'silent' },
  };
  ingress = await startWaypost({
    redis: redis.url,
    services: ['ingress'],
    listeners: [{ name: 'trusted' }],
    dir,
    config,
  });
});
afterAll(async () => {
  await rest?.stop();
  await ingress?.stop();
  await peer?.stop();
  await redis?.stop();
  rmSync(dir, { recursive: true, force: true });
});

/** Sends short messages until one is refused. @returns how many were accepted, and the refusal. */
async function fill(): Promise<{ accepted: number; refusal: string }> {
  const dialog = await greet(ingress.port('trusted'));
  for (let accepted = 0; ; accepted += 1) {
    const refusal = await sendMessage(dialog, 'Subject: short\r\n\r\nshort\r\n')
      .then((reply) => (reply.startsWith('250') ? undefined : reply))
      .catch((error: Error) => error.message);
    if (refusal === undefined) continue;
    dialog.close();
    return { accepted, refusal };
  }
}

describe('a queue that is full', () => {
  it('refuses new mail, and delivers what it accepted although that takes more memory for a while', async () => {
    // Nothing is judged or delivered meanwhile, so that what each message still needs is yet to come.
    const sessions = await Promise.all(Array.from({ length: 10 }, fill));
    const accepted = sessions.reduce((sum, one) => sum + one.accepted, 0);
    for (const { refusal } of sessions) expect(refusal).toMatch(/452 4\.3\.1/);
    expect(accepted).toBeGreaterThan(100);
    rest = await startWaypost({ redis: redis.url, services: ['policy', 'delivery'], dir, config });
    await waitFor(`${accepted} messages to be delivered`, () => peer.messages.length >= accepted, 60_000);
    expect(peer.messages.length).toBe(accepted);
  }, 90_000);
});
