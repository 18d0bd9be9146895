import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { hashAddress } from '@waypost/runtime';
import {
  run,
  type SmtpDialog,
  SmtpPeer,
  startRedis,
  startWaypost,
  TEST_KEY,
  type WaypostProcess,
  waitFor,
} from '@waypost/testkit';
import { describe, expect, it } from 'vitest';
import { call, email } from '../../support/http.js';
import { greet, sendMessage } from '../../support/relay.js';

const MAIN = resolve(import.meta.dirname, '../../../services/waypost/dist/main.js');
const KEY = 'the key of the hashes in logs';
/** Stands in every address and body of the run, and nowhere else. */
const MARK = 'zaphod';
const SECRET = 'wp_0a1b2c3d4e5f_neverInALog0123456789';

/** A run of everything that tells of people: mail in by all ways, refusals, bounces, failures, admin requests. */
async function everything(
  telemetry: Record<string, unknown>,
): Promise<{ waypost: WaypostProcess; stop: () => Promise<void> }> {
  const redis = await startRedis();
  const peer = await SmtpPeer.start({
    script: (phase, line) => {
      if (phase === 'mail' && line.includes('slow')) return `451 4.7.1 <${MARK}-slow@example.com> is put off`;
      if (phase !== 'rcpt') return undefined;
      if (line.includes('-gone'))
        return `550 5.1.1 <${MARK}-gone@example.org>: ${MARK}-gone@example.org is unknown here`;
      return line.includes('-full') ? `452 4.2.2 the mailbox of ${MARK}-full@example.org is full` : undefined;
    },
  });
  const waypost = await startWaypost({
    redis: redis.url,
    listeners: [
      { name: 'trusted' },
      { name: 'inbound', kind: 'mx', domains: ['example.org'], allow: [], banner_delay: 0 },
      { name: 'submission', kind: 'submission', auth_without_tls: true },
    ],
    config: {
      routes: [{ match: '*', to: `smtp://127.0.0.1:${peer.port}`, tls: 'none' }],
      delivery: { retry: { initial: '1s', jitter: 0 }, max_age: '30s' },
      keys: [
        { id: 'test', secret: TEST_KEY, scopes: ['send', 'read', 'admin'] },
        { id: 'narrow', secret: SECRET, scopes: ['send'], domains: ['example.com'] },
      ],
      abuse: {
        limits: [{ per: 'sender', match: `${MARK}-many@example.com`, messages: '1/d' }],
        greylist: { when: 'always' },
      },
      telemetry: { log_level: 'debug', ...telemetry },
    },
  });
  const stop = async () => {
    await waypost.stop();
    await peer.stop();
    await redis.stop();
  };
  const body = (n: string) =>
    `From: ${MARK} <${MARK}@example.com>\r\nTo: ${MARK}-${n}@example.org\r\nSubject: about ${MARK}\r\n\r\n${MARK}'s secret\r\n`;
  const trusted = await greet(waypost.port('trusted'));
  for (const n of ['ok', 'gone', 'full']) {
    expect(await sendMessage(trusted, body(n), `${MARK}@example.com`, `${MARK}-${n}@example.org`)).toMatch(/^250/);
  }
  expect(await sendMessage(trusted, body('ok'), `${MARK}-slow@example.com`, `${MARK}@example.org`)).toMatch(/^250/);
  await sendMessage(trusted, body('ok'), `${MARK}-many@example.com`, `${MARK}@example.org`);
  expect(await trusted.say(`MAIL FROM:<${MARK}-many@example.com>`)).toMatch(/^452/);
  expect(await trusted.say(`MAIL FROM:<${MARK}@@example.com>`)).toMatch(/^5/);
  trusted.close();
  const inbound = await greet(waypost.port('inbound'), { localAddress: '127.0.6.1' });
  await inbound.say(`MAIL FROM:<${MARK}@example.net>`);
  expect(await inbound.say(`RCPT TO:<${MARK}@example.org>`)).toMatch(/^451/);
  expect(await inbound.say(`RCPT TO:<${MARK}@elsewhere.test>`)).toMatch(/^550/);
  inbound.close();
  const submission: SmtpDialog = await greet(waypost.port('submission'));
  await submission.say(`AUTH PLAIN ${Buffer.from(`\0${MARK}@example.com\0${SECRET}x`).toString('base64')}`);
  await submission.say(`AUTH PLAIN ${Buffer.from(`\0${MARK}@example.com\0${SECRET}`).toString('base64')}`);
  expect(await submission.say(`MAIL FROM:<${MARK}@example.net>`)).toMatch(/^553/);
  submission.close();
  await call(waypost.http, '/v1/emails', {
    body: email(MARK, { to: `${MARK}-gone@example.org`, from: `${MARK}@example.com` }),
  });
  await call(waypost.http, '/v1/emails', { body: email(MARK, { to: `${MARK}@@example.org` }) });
  await call(waypost.http, '/v1/emails', { body: '{"text": "zaphod@example.com' });
  await call(waypost.http, `/v1/suppressions/${MARK}%40example.org`);
  await call(waypost.api, `/admin/v1/queue?sender=${MARK}@example.com`, {});
  await call(waypost.api, '/admin/v1/queue/actions', {
    body: { action: 'retry', match: { sender: `${MARK}@example.com` } },
  });
  const records = () => new Set(waypost.log.map(({ record }) => record));
  await waitFor('deliveries, bounces and deferrals in the log', () =>
    ['Reception', 'Delivery', 'Bounce', 'TransientFailure'].every((record) => records().has(record)),
  );
  // Redis away brings errors of its own.
  await redis.kill();
  const late = await greet(waypost.port('trusted'));
  await late.say(`MAIL FROM:<${MARK}@example.com>`);
  late.close();
  await call(waypost.http, '/v1/emails', { body: email(MARK, { to: `${MARK}@example.org` }) });
  await redis.restart();
  return { waypost, stop };
}

describe('the log of a run', () => {
  it('with hashed addresses holds none, no body and no secret, and an address can still be followed', async () => {
    const { waypost, stop } = await everything({ pii: 'hashed', pii_key: KEY });
    await waypost.end();
    expect(waypost.log.length).toBeGreaterThan(15);
    expect(waypost.output).not.toMatch(new RegExp(MARK, 'i'));
    expect(waypost.output).not.toMatch(/neverInALog|secret/);
    expect(waypost.output).not.toMatch(/[\w.+-]+@example\.(?:com|net|org)/);
    const hash = hashAddress(`${MARK}-gone@example.org`, KEY);
    const bounce = waypost.log.find(({ record, reply }) => record === 'Bounce' && String(reply).includes(hash));
    expect(bounce?.reply).toBe(`550 5.1.1 <${hash}>: ${hash} is unknown here`);
    const cli = await run(process.execPath, [MAIN, 'pii', 'hash', `${MARK}-GONE@example.org`, '-c', waypost.file]);
    expect(cli.stdout.trim()).toBe(hash);
    await stop();
  });

  it('without addresses says that there was one', async () => {
    const { waypost, stop } = await everything({ pii: 'none' });
    await waypost.end();
    expect(waypost.output).not.toMatch(new RegExp(`${MARK}|neverInALog|pii:`, 'i'));
    expect(waypost.log.find(({ record }) => record === 'Bounce')?.reply).toBe(
      '550 5.1.1 <(address)>: (address) is unknown here',
    );
    await stop();
  });

  it('in full has them, and still no body and no secret', async () => {
    const { waypost, stop } = await everything({});
    await waypost.end();
    expect(waypost.output).toContain(`${MARK}-gone@example.org`);
    expect(waypost.output).not.toMatch(/neverInALog|secret/);
    await stop();
  });

  it('hashes need a key', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'waypost-pii-'));
    const file = join(dir, 'waypost.json');
    writeFileSync(file, JSON.stringify({ telemetry: { pii: 'hashed' } }));
    const { code, stderr } = await run(process.execPath, [MAIN, 'config', 'check', file]);
    expect(code).toBe(1);
    rmSync(dir, { recursive: true });
    expect(stderr).toMatch('telemetry.pii is hashed, which needs telemetry.pii_key');
  });
});
