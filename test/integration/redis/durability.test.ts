import { openRedis, RedisSetupError } from '@waypost/redis';
import { startRedis, type TestRedis } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { redisConfig } from '../../support/redis-servers.js';

let server: TestRedis;
beforeAll(async () => {
  server = await startRedis();
  const admin = await openRedis(redisConfig({ url: server.url }));
  // A user as managed services give it: everything but CONFIG.
  await admin.client.call('ACL', 'SETUSER', 'managed', 'on', '>pw', '~*', '&*', '+@all', '-config');
  await admin.close();
});
afterAll(() => server?.stop());

/** Runs with settings of the server changed, and puts them back. */
async function withSettings<T>(settings: Record<string, string>, run: () => Promise<T>): Promise<T> {
  const admin = await openRedis(redisConfig({ url: server.url }));
  const before: [string, string][] = [];
  for (const [name, value] of Object.entries(settings)) {
    const [, old] = (await admin.client.config('GET', name)) as [string, string];
    before.push([name, old]);
    await admin.client.config('SET', name, value);
  }
  try {
    return await run();
  } finally {
    for (const [name, value] of before) await admin.client.config('SET', name, value);
    await admin.close();
  }
}

/** @returns the refusal's sentence, undefined where the server is taken. */
async function refusal(settings: Record<string, unknown>): Promise<string | undefined> {
  try {
    const handle = await openRedis(redisConfig({ url: server.url, ...settings }));
    await handle.close();
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(RedisSetupError);
    return (error as Error).message;
  }
}

describe('a Redis that could lose mail is refused with what to set', () => {
  it.each([
    ['appendfsync', 'everysec', {}, /appendfsync "everysec".*Set "appendonly yes" and "appendfsync always"/],
    ['appendfsync', 'no', {}, /appendfsync "no".*"appendfsync always"/],
    ['appendonly', 'no', {}, /appendonly "no".*Set "appendonly yes"/],
    ['maxmemory-policy', 'allkeys-lru', {}, /is "allkeys-lru"\. Set "maxmemory-policy noeviction"/],
    ['maxmemory-policy', 'volatile-ttl', { durability: 'memory' }, /is "volatile-ttl"\. Set "maxmemory-policy noevi/],
    ['maxmemory-policy', 'allkeys-lfu', { durability: 'replica' }, /is "allkeys-lfu"\. Set "maxmemory-policy noevi/],
  ])('%s %s', async (name, value, config, expected) => {
    expect(await withSettings({ [name]: value }, () => refusal(config))).toMatch(expected);
  });

  it('replica durability without the replicas', async () => {
    expect(await refusal({ durability: 'replica', replicas: 2 })).toMatch(
      /"replica" with 2 replicas, but Redis has 0 connected\. Connect more, or lower redis\.replicas/,
    );
  });

  it('but not where it keeps what is promised', async () => {
    expect(await refusal({})).toBeUndefined();
    expect(await withSettings({ appendfsync: 'everysec' }, () => refusal({ durability: 'memory' }))).toBeUndefined();
    expect(await withSettings({ appendonly: 'no' }, () => refusal({ durability: 'memory' }))).toBeUndefined();
  });
});

describe('a Redis that does not let its settings be read', () => {
  const managed = { username: 'managed', password: 'pw' };

  it('is refused for fsync, as it cannot be confirmed', async () => {
    expect(await refusal(managed)).toMatch(/does not let its settings be read .*Allow this user "CONFIG GET"/);
    expect(await withSettings({ appendonly: 'no' }, () => refusal(managed))).toMatch(/appendonly "no"/);
  });

  it('is taken for what needs no AOF', async () => {
    expect(await refusal({ ...managed, durability: 'memory' })).toBeUndefined();
  });

  it('still must not evict', async () => {
    const settings = { ...managed, durability: 'memory' };
    expect(await withSettings({ 'maxmemory-policy': 'allkeys-random' }, () => refusal(settings))).toMatch(
      /is "allkeys-random"/,
    );
  });
});
