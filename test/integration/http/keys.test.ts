import { resolve } from 'node:path';
import {
  run,
  SmtpDialog,
  startRedis,
  startWaypost,
  TEST_KEY,
  type TestRedis,
  type WaypostProcess,
  waitFor,
} from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CallOptions, call, email } from '../../support/http.js';

const MAIN = resolve(import.meta.dirname, '../../../services/waypost/dist/main.js');
const SENDER = 'wp_sender_0123456789abcdef0123456789abcdef';
const FAR = 'wp_far_0123456789abcdef0123456789abcdef';
const SLOW = 'wp_slow_0123456789abcdef0123456789abcdef';

let redis: TestRedis;
let waypost: WaypostProcess;
const api = (path: string, options?: CallOptions) => call(waypost.http, path, options);
beforeAll(async () => {
  redis = await startRedis();
  waypost = await startWaypost({
    redis: redis.url,
    listeners: [{ name: 'submissions', kind: 'submission', tls: 'implicit' }],
    config: {
      http: { rate_per_second: 1 },
      keys: [
        { id: 'test', secret: TEST_KEY, scopes: ['send', 'read', 'admin'] },
        { id: 'sender', secret: SENDER, scopes: ['send'], domains: ['example.com'] },
        { id: 'far', secret: FAR, scopes: ['send'], networks: ['192.0.2.0/24'] },
        { id: 'slow', secret: SLOW, scopes: ['send', 'read'] },
      ],
    },
  });
});
afterAll(async () => {
  await waypost?.stop();
  await redis?.stop();
});

describe('API keys', () => {
  it.each<[string, CallOptions, number, string]>([
    ['none', { key: '' }, 401, 'missing_api_key'],
    ['a wrong one', { key: 'wp_wrong' }, 401, 'invalid_api_key'],
    ['one from another network', { key: FAR }, 401, 'invalid_api_key'],
    [
      'one that may not send so',
      { key: SENDER, body: email('x', { from: 'a@example.net' }) },
      403,
      'invalid_from_address',
    ],
  ])('%s', async (_, options, status, name) => {
    const answer = await api('/v1/emails', { body: email('x'), ...options });
    expect(answer).toMatchObject({ status, body: { name, statusCode: status } });
    if (status === 401) expect(answer.headers.get('www-authenticate')).toBe('Bearer');
  });

  it('do only what their scopes allow', async () => {
    const sent = await api('/v1/emails', { key: SENDER, body: email('scoped') });
    expect(sent.status).toBe(200);
    expect(await api(`/v1/emails/${sent.body.id}`, { key: SENDER })).toMatchObject({
      status: 403,
      body: { name: 'restricted_api_key' },
    });
  });

  it('are made, listed and revoked by command, and are SMTP passwords too', async () => {
    const cli = (...args: string[]) => run(process.execPath, [MAIN, 'keys', ...args, '--config', waypost.file]);
    const made = await cli('create', 'from a test', '--domain', 'example.com');
    const [secret = ''] = made.stdout.split('\n');
    expect(secret).toMatch(/^wp_[0-9a-f]{12}_[\w-]{43}$/);
    // A process may know its keys for some seconds before it looks again.
    const used = await waitForStatus(() => api('/v1/emails', { key: secret, body: email('made') }), 200);
    expect(used.status).toBe(200);
    const dialog = await SmtpDialog.openTls(waypost.port('submissions'));
    await dialog.reply();
    await dialog.say('EHLO client.test');
    const login = Buffer.from(`\0any name\0${secret}`).toString('base64');
    expect(await dialog.say(`AUTH PLAIN ${login}`)).toMatch(/^235/);
    expect(await dialog.say('MAIL FROM:<a@example.net>')).toMatch(/^553/);
    dialog.close();

    const listed = await cli('list');
    const id = secret.split('_')[1] ?? '';
    expect(listed.stdout).toContain(id);
    expect(listed.stdout).not.toContain(secret);
    expect((await cli('revoke', id)).stdout).toContain('revoked');
    await waitForStatus(() => api('/v1/emails', { key: secret, body: email('revoked') }), 401);

    const dump = await run('redis-cli', ['-p', String(redis.port), 'hgetall', 'wp:keys']);
    expect(dump.stdout).not.toContain(secret.slice(-20));
    expect(waypost.output).not.toContain(secret.slice(-20));
    expect(waypost.output).not.toContain(TEST_KEY);
  });

  it('may ask so often, and are told when again', async () => {
    let answer = await api('/v1/emails/none', { key: SLOW });
    expect(answer.headers.get('ratelimit-policy')).toBe('"key";q=60;w=60');
    const left = Number(answer.headers.get('x-ratelimit-remaining'));
    for (let i = 0; i <= left; i += 1) answer = await api('/v1/emails/none', { key: SLOW });
    expect(answer).toMatchObject({ status: 429, body: { name: 'rate_limit_exceeded' } });
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await api('/v1/emails/none')).status).toBe(404);
  });
});

describe('the admin pages', () => {
  it('list caught mail and show it without running it', async () => {
    const html = '<script>alert(1)</script><img src="https://tracker.example/x.png"><p>shown</p>';
    await api('/v1/emails', { body: email('<b>caught</b>', { html }) });
    const mine = await waitFor('the caught mail', async () => {
      const caught = (await call(waypost.api, '/admin/v1/caught')).body.data as { key: string }[];
      const paths = caught.map(({ key }) => `/caught/${encodeURIComponent(key)}`);
      const shown = await Promise.all(paths.map((path) => call(waypost.api, path)));
      return shown.find(({ body }) => body.includes('caught&#60;'));
    });
    const page = await call(waypost.api, '/');
    expect(page.body).toContain('/caught/');
    const policy = page.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain('script-src');
    expect(mine.body).not.toContain('<b>caught');
    const [, part = ''] = /<iframe sandbox src="([^"]+)"/.exec(mine.body) ?? [];
    const frame = await call(waypost.api, part);
    expect(frame.headers.get('content-security-policy')).toMatch(/default-src 'none';.*sandbox/);
  });

  it('are closed to other names than this machine, as a browser would send them', async () => {
    const { status } = await new Promise<{ status: number | undefined }>((done, reject) => {
      import('node:http').then(({ get }) =>
        get(`${waypost.api}/admin/v1/queues`, { headers: { host: 'evil.example' } }, (response) => {
          response.resume();
          done({ status: response.statusCode });
        }).once('error', reject),
      );
    });
    expect(status).toBe(401);
  });
});

async function waitForStatus<T extends { status: number }>(ask: () => Promise<T>, status: number): Promise<T> {
  return waitFor(`status ${status}`, async () => {
    const answer = await ask();
    return answer.status === status && answer;
  });
}
