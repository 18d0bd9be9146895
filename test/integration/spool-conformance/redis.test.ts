import { randomBytes, randomUUID } from 'node:crypto';
import { type Command, openRedis, type RedisHandle } from '@waypost/redis';
import { RedisBlobStore, SpoolFullError } from '@waypost/spool';
import { startRedis, type TestRedis } from '@waypost/testkit';
import { afterEach, describe, expect, it } from 'vitest';
import { chunked, conformance } from './cases.js';

const CONFIG = { durability: 'fsync', replicas: 1, high_water: 0 } as const;

conformance('redis', async () => {
  const server = await startRedis();
  const redis = await openRedis({ ...CONFIG, url: server.url });
  const keys = (id: string) => redis.client.keys(`wp:{${id}}*`);
  return {
    blobs: new RedisBlobStore(redis.group),
    stored: keys,
    arrived: async (id) => {
      const lengths = await Promise.all((await keys(id)).map((key) => redis.client.strlen(key)));
      return lengths.reduce((sum, length) => sum + length, 0);
    },
    buffer: 2 * 262_144,
    stop: async () => {
      await redis.close();
      await server.stop();
    },
  };
});

describe('redis spool driver', () => {
  let server: TestRedis;
  let redis: RedisHandle;
  const start = async (...extra: string[]) => {
    server = await startRedis(extra);
    redis = await openRedis({ ...CONFIG, url: server.url });
    return new RedisBlobStore(redis.group);
  };
  afterEach(async () => {
    await redis.close();
    await server.stop();
  });

  it('never sends more than 256 KiB in one command', async () => {
    await start();
    let largest = 0;
    const exec = (commands: readonly Command[]) => {
      for (const { args } of commands)
        for (const arg of args) if (Buffer.isBuffer(arg)) largest = Math.max(largest, arg.length);
      return redis.group.exec(commands);
    };
    await new RedisBlobStore({ exec }).put(randomUUID(), chunked(randomBytes(2_000_000), 1_500_000));
    expect(largest).toBe(262_144);
  });

  it('lets chunks expire until the body is whole, and keeps them from then on', async () => {
    const blobs = await start();
    const id = randomUUID();
    const times = async () => Promise.all((await redis.client.keys(`wp:{${id}}*`)).map((key) => redis.client.ttl(key)));
    async function* watched() {
      yield randomBytes(600_000);
      const left = await times();
      expect(left).toHaveLength(2);
      for (const seconds of left) expect(seconds).toBeGreaterThan(3600);
      yield randomBytes(10);
    }
    await blobs.put(id, watched());
    expect(await times()).toEqual([-1, -1, -1, -1]);
  });

  it('refuses a body whose chunks were lost before it was whole', async () => {
    const blobs = await start();
    const id = randomUUID();
    async function* robbed() {
      yield randomBytes(600_000);
      await redis.client.del(`wp:{${id}}:c:0`);
      yield randomBytes(10);
    }
    await expect(blobs.put(id, robbed())).rejects.toThrow('expired before it was whole');
    expect(await redis.client.keys(`wp:{${id}}*`)).toEqual([]);
  });

  it('calls a Redis without memory a full spool', async () => {
    const blobs = await start('--maxmemory', '8mb');
    const id = randomUUID();
    await expect(blobs.put(id, chunked(randomBytes(20_000_000)))).rejects.toBeInstanceOf(SpoolFullError);
    expect(await redis.client.keys(`wp:{${id}}*`)).toEqual([]);
  });
});
