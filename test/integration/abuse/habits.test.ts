import { resolve } from 'node:path';
import { type Anomaly, acceptHabit, HABIT_ALPHA, Habits, listHabits } from '@waypost/abuse';
import { loadConfig } from '@waypost/config';
import { openRedis, type RedisHandle } from '@waypost/redis';
import { run, startRedis, startWaypost, TEST_KEY, type TestRedis, waitFor } from '@waypost/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { call, email } from '../../support/http.js';
import { greet, sendMessage } from '../../support/relay.js';

const MAIN = resolve(import.meta.dirname, '../../../services/waypost/dist/main.js');
let redis: TestRedis;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis?.stop());

describe('habits of credentials', () => {
  let handle: RedisHandle;
  const anomalies: Anomaly[] = [];
  beforeEach(async () => {
    handle = await openRedis(loadConfig({ text: JSON.stringify({ redis: { url: redis.url } }) }).redis);
    await handle.client.flushall();
    anomalies.length = 0;
  });
  afterEach(() => handle.close());

  const make = (anomaly: Record<string, unknown> = {}) => {
    const settings = loadConfig({ text: JSON.stringify({ abuse: { anomaly } }) }).abuse.anomaly;
    return new Habits({ redis: handle, settings: () => settings, onAnomaly: (one) => anomalies.push(one) });
  };
  /** An hour passes: what is on record is of one hour earlier. */
  const passHours = async (credential: string, hours: number) => {
    for (const field of ['hour', 'alarmed']) await handle.client.hincrby(`wp:habit:${credential}`, field, -hours);
  };
  /** Sends so many an hour, for so long. */
  const live = async (habits: Habits, credential: string, perHour: number, hours: number) => {
    for (let hour = 0; hour < hours; hour += 1) {
      habits.sent(credential, perHour);
      await habits.report();
      await passHours(credential, 1);
    }
  };

  it('a new credential with small volumes is none, one that starts with much is', async () => {
    const habits = make();
    habits.sent('new', 1000);
    await habits.report();
    expect(anomalies).toEqual([]);
    habits.sent('new', 1);
    await habits.report();
    expect(anomalies).toEqual([{ credential: 'new', count: 1001, allowed: 1000, heldTill: 0 }]);
  });

  it('alarms at far more than the habit, once an hour', async () => {
    const habits = make();
    await live(habits, 'app', 400, 48);
    habits.sent('app', 1900);
    await habits.report();
    expect(anomalies).toEqual([]);
    habits.sent('app', 200);
    await habits.report();
    habits.sent('app', 5000);
    await habits.report();
    expect(anomalies).toEqual([{ credential: 'app', count: 2100, allowed: 2000, heldTill: 0 }]);
    await passHours('app', 1);
    habits.sent('app', 20_000);
    await habits.report();
    expect(anomalies.length).toBe(2);
  });

  it('a burst each day is a habit', async () => {
    const habits = make({ minimum: 5000 });
    for (let day = 0; day < 5; day += 1) {
      habits.sent('newsletter', day === 0 ? 5000 : 8000);
      await habits.report();
      await passHours('newsletter', 24);
    }
    expect(anomalies).toEqual([]);
  });

  it('what an anomaly sent is no habit the next day', async () => {
    const habits = make();
    await live(habits, 'app', 400, 48);
    habits.sent('app', 100_000);
    await habits.report();
    await passHours('app', 24);
    habits.sent('app', 4100);
    await habits.report();
    expect(anomalies.map(({ count }) => count)).toEqual([100_000, 4100]);
  });

  it('counts over processes, and an operator can look and take it for the habit', async () => {
    const [one, other] = [make(), make()];
    one.sent('app', 600);
    other.sent('app', 600);
    await one.report();
    await other.report();
    expect(anomalies.length).toBe(1);
    const [habit] = await listHabits(handle.group, 10, HABIT_ALPHA);
    expect(habit).toMatchObject({ credential: 'app', count: 1200, hours: 0, anomaly: true });
    await handle.group.exec([acceptHabit('app')]);
    one.sent('app', 1000);
    await one.report();
    expect(anomalies.length).toBe(1);
    expect((await listHabits(handle.group, 10, HABIT_ALPHA))[0]).toMatchObject({ peak: 1200, anomaly: false });
  });

  it('while Redis is away counts wait', async () => {
    const habits = make();
    await redis.kill();
    await waitFor('Redis to be away', () => !handle.group.available);
    habits.sent('app', 700);
    await habits.report();
    await redis.restart();
    await waitFor('Redis to be back', () => handle.group.available);
    habits.sent('app', 500);
    await habits.report();
    expect(anomalies.map(({ count }) => count)).toEqual([1200]);
  });
});

describe('a credential that is held', () => {
  it('sends nothing by any process until it is reset, others do', async () => {
    const STOLEN = 'wp_stolen_0123456789abcdef0123456789abcdef';
    const start = () =>
      startWaypost({
        redis: redis.url,
        services: ['ingress', 'api'],
        listeners: [{ name: 'submission', kind: 'submission', auth_without_tls: true }],
        config: {
          keys: [
            { id: 'test', secret: TEST_KEY, scopes: ['send', 'read', 'admin'] },
            { id: 'stolen', secret: STOLEN, scopes: ['send'] },
          ],
          abuse: { anomaly: { minimum: 3, action: 'hold' } },
        },
      });
    const [one, other] = [await start(), await start()];
    const dialog = await greet(one.port('submission'));
    await dialog.say(`AUTH PLAIN ${Buffer.from(`\0me\0${STOLEN}`).toString('base64')}`);
    for (let at = 0; at < 4; at += 1) expect(await sendMessage(dialog, 'Subject: x\r\n\r\n')).toMatch(/^250/);
    const send = (key: string) => call(other.http, '/v1/emails', { key, body: email('x') });
    await waitFor(
      'the hold',
      async () =>
        (await dialog.say('MAIL FROM:<a@example.com>')).startsWith('450 4.7.1') || void (await dialog.say('RSET')),
    );
    const answer = await waitFor('the other to know', async () => {
      const got = await send(STOLEN);
      return got.status === 429 ? got : undefined;
    });
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(3000);
    expect((await send(TEST_KEY)).status).toBe(200);
    const line = await waitFor('the event', () => one.log.find(({ event }) => event === 'anomaly'));
    expect(line).toMatchObject({ credential: 'stolen', allowed: 3 });
    expect(
      (await one.metric('waypost_abuse_anomalies_total')) + (await other.metric('waypost_abuse_anomalies_total')),
    ).toBe(1);
    const cli = (...args: string[]) => run(process.execPath, [MAIN, 'habits', ...args, '--api', one.api]);
    expect((await cli('list')).stdout).toMatch(/^stolen\t\d\t0\t0\theld until /m);
    expect((await cli('reset', 'stolen')).stdout).toMatch('stolen may send');
    await waitFor('the way free', async () => (await send(STOLEN)).status === 200);
    expect(await dialog.say('MAIL FROM:<a@example.com>')).toMatch(/^250/);
    dialog.close();
    await Promise.all([one.stop(), other.stop()]);
  });
});
