import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { loadConfig } from '@waypost/config';
import { openRedis } from '@waypost/redis';
import {
  run,
  SmtpPeer,
  startRedis,
  startWaypost,
  TEST_KEY,
  type TestRedis,
  type WaypostProcess,
  waitFor,
} from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call } from '../../support/http.js';
import { arrival, greet, sendMessage } from '../../support/relay.js';

const MAIN = resolve(import.meta.dirname, '../../../services/waypost/dist/main.js');
const BLUE = 'wp_blue_0123456789abcdef0123456789abcdef';
const dir = mkdtempSync(join(tmpdir(), 'waypost-lessons-'));

let redis: TestRedis;
let peer: SmtpPeer;
/** One takes mail and lessons in, the other judges: what one is told the other must know. */
let taking: WaypostProcess;
let judging: WaypostProcess;
beforeAll(async () => {
  redis = await startRedis();
  peer = await SmtpPeer.start();
  const config = {
    routes: [{ match: '*', to: `smtp://127.0.0.1:${peer.port}`, tls: 'none' }],
    policy: { checks: ['classifier', 'spam-verdict'] },
    spam: { thresholds: { reject: 'off', tag: 'off' } },
    classifier: { most: 50, least: 50, learning: { per_hour: 12 } },
    keys: [
      { id: 'test', secret: TEST_KEY, scopes: ['send', 'read', 'admin'] },
      { id: 'blue', secret: BLUE, scopes: ['read', 'admin'], tenant: 'blue' },
    ],
  };
  const mx = { kind: 'mx', allow: [], domains: ['example.org'], banner_delay: '0ms' };
  const listeners = [
    { name: 'blue', ...mx, tenant: 'blue' },
    { name: 'green', ...mx, tenant: 'green' },
  ];
  taking = await startWaypost({ redis: redis.url, services: ['ingress'], dir, listeners, config });
  judging = await startWaypost({ redis: redis.url, services: ['policy', 'delivery'], dir, config });
});
afterAll(async () => {
  await taking?.stop();
  await judging?.stop();
  await peer?.stop();
  await redis?.stop();
  rmSync(dir, { recursive: true, force: true });
});

const WORDS = 'the quarterly pigeon census of our harbour office counts feathers and asks every keeper to send numbers';
let sent = 0;
const letter = (words = WORDS) => {
  sent += 1;
  const subject = `pigeon census ${sent}`;
  const lines = ['From: Ann <ann@example.com>', 'To: b@example.org', `Subject: ${subject}`, '', words, ''];
  return { subject, octets: Buffer.from(lines.join('\r\n')) };
};

/** Points that the classifier gives a letter that comes in at a listener. */
async function points(listener: string, words?: string): Promise<number> {
  const { subject, octets } = letter(words);
  const dialog = await greet(taking.port(listener));
  expect(await sendMessage(dialog, octets)).toMatch(/^250/);
  await dialog.say('QUIT');
  const { body } = await arrival(peer, subject);
  return Number(/^X-Spam-Score: (-?[\d.]+)/m.exec(body.toString())?.[1]);
}

const teach = (as: string, words: string, options: { key?: string; tenant?: string } = {}) =>
  call(taking.http, `/v1/policy/learn?class=${as}${options.tenant ? `&tenant=${options.tenant}` : ''}`, {
    method: 'POST',
    key: options.key,
    headers: { 'content-type': 'message/rfc822' },
    body: letter(words).octets,
  });

describe('lessons', () => {
  it("of one tenant reach the process that judges, change that tenant's mail and nobody else's", async () => {
    const [blue, green] = [await points('blue'), await points('green')];
    expect(blue).toBe(green);
    for (const words of [`${WORDS} once`, `${WORDS} twice`, `${WORDS} thrice`]) {
      const { status, body } = await teach('spam', words, { key: BLUE });
      expect({ status, body }).toMatchObject({ status: 200, body: { class: 'spam', tenant: 'blue', learned: true } });
    }
    await waitFor('blue mail to be judged anew', async () => (await points('blue')) > blue + 1.5, 30_000);
    expect(await points('green')).toBe(green);
  });

  it('are learned once for the same text, and again when the verdict is taken back', async () => {
    expect((await teach('spam', `${WORDS} once`, { key: BLUE })).body).toMatchObject({ learned: false });
    const before = await points('blue');
    for (const words of [`${WORDS} once`, `${WORDS} twice`, `${WORDS} thrice`]) {
      expect((await teach('ham', words, { key: BLUE })).body).toMatchObject({ learned: true });
    }
    await waitFor('the verdict to go down', async () => (await points('blue')) < before - 1.5, 30_000);
  });

  it('are taken as JSON too, and only from keys that may teach for the tenant', async () => {
    const raw = letter().octets.toString('base64');
    const post = (body: unknown, key?: string) => call(taking.http, '/v1/policy/learn', { body, key });
    expect(await post({ class: 'ham', raw, tenant: 'green' }, BLUE)).toMatchObject({ status: 403 });
    expect(await post({ class: 'eggs', raw })).toMatchObject({ status: 422 });
    expect(await post({ class: 'ham', raw: '' })).toMatchObject({ status: 422 });
    expect((await post({ class: 'ham', raw, tenant: 'red' })).body).toMatchObject({ learned: true, tenant: 'red' });
  });

  it('are so many an hour and no more', async () => {
    const answers: number[] = [];
    for (let at = 0; at < 14; at++)
      answers.push((await teach('spam', `lesson ${'abcdefghijklmn'[at]}`, { tenant: 'much' })).status);
    expect(answers.filter((status) => status === 200)).toHaveLength(12);
    expect(answers.slice(12)).toEqual([429, 429]);
  });

  it('are given by command from folders without that limit, and forgotten by command', async () => {
    const [ham, spam] = [join(dir, 'ham'), join(dir, 'spam.mbox')];
    rmSync(ham, { force: true });
    writeFileSync(ham, letter('our harbour keeps its gulls').octets);
    const mbox = Array.from({ length: 15 }, (_, at) => {
      const text = letter(`cheap gulls ${'abcdefghijklmno'[at]} delivered`).octets.toString().replaceAll('\r', '');
      return `From x@example.com Thu Aug 22 12:36:23 2002\n${text}\n`;
    });
    writeFileSync(spam, mbox.join('\n'));
    const waypost = (...args: string[]) => run(process.execPath, [MAIN, 'spam', ...args, '-c', taking.file]);
    const trained = await waypost('train', '--tenant', 'gulls', '--ham', ham, '--spam', spam);
    expect(trained.stdout).toContain('16 messages learned; 0 more were known.');
    const score = async () => {
      const { stdout } = await waypost('classify', join(dir, 'one.eml'), '--tenant', 'gulls');
      return Number(/score (-?[\d.]+)/.exec(stdout)?.[1]);
    };
    writeFileSync(join(dir, 'one.eml'), letter('cheap gulls delivered').octets);
    const taught = await score();
    expect((await waypost('forget', '--tenant', 'gulls')).stdout).toContain('Forgotten.');
    expect(await score()).toBeLessThan(taught - 1);
    const handle = await openRedis({ ...loadConfig({ env: {} }).redis, url: redis.url });
    expect(await handle.group.exec([{ name: 'keys', args: ['wp:spam:{t:gulls}*'] }])).toEqual([[]]);
    await handle.close();
  });
});
