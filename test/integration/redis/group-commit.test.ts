import {
  type Command,
  openRedis,
  type RedisHandle,
  RedisRefusedError,
  RedisUnavailableError,
  RedisUncertainError,
} from '@waypost/redis';
import { startRedis, type TestRedis, waitFor } from '@waypost/testkit';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { redisConfig } from '../../support/redis-servers.js';

let server: TestRedis;
let redis: RedisHandle;
const groups: number[] = [];
const set = (key: string, value: string | Buffer = 'v'): Command => ({ name: 'set', args: [key, value] });

beforeAll(async () => {
  server = await startRedis();
  redis = await openRedis(redisConfig({ url: server.url }), {
    onGroup: (commands) => groups.push(commands),
    onError: () => undefined,
  });
});
afterAll(async () => {
  await redis?.close();
  await server?.stop();
});
beforeEach(async () => {
  await redis.group.exec([{ name: 'flushall', args: [] }]);
  groups.length = 0;
});

/** A script of its own for each name, since it is by its text that the server knows one. */
function increment(name: string): Command {
  const script = { name, keys: 1, lua: `return redis.call('INCRBY', KEYS[1], ARGV[1]) -- ${name}` };
  return { name, script, args: [name, 5] };
}

/** Transactions the server has run. */
async function transactions(): Promise<number> {
  const info = await redis.client.info('commandstats');
  return Number(/cmdstat_exec:calls=(\d+)/.exec(info)?.[1] ?? 0);
}

describe('grouping', () => {
  it('what arrives together shares a transaction', async () => {
    const before = await transactions();
    await Promise.all(Array.from({ length: 100 }, (_, at) => redis.group.exec([set(`k${at}`), set(`l${at}`)])));
    expect(await transactions()).toBe(before + 1);
    expect(groups).toEqual([200]);
    expect(await redis.client.dbsize()).toBe(200);
  });

  it('what arrives while one is on its way goes together into the next', async () => {
    const first = redis.group.exec([set('first')]);
    await new Promise((resolve) => setImmediate(resolve));
    const later = Array.from({ length: 10 }, (_, at) => redis.group.exec([set(`later${at}`)]));
    await Promise.all([first, ...later]);
    expect(groups).toEqual([1, 10]);
  });

  it('a backlog beyond 512 commands goes in several groups, no unit cut', async () => {
    await Promise.all(
      Array.from({ length: 300 }, (_, at) => redis.group.exec([set(`a${at}`), set(`b${at}`), set('c')])),
    );
    expect(groups.reduce((sum, one) => sum + one, 0)).toBe(900);
    for (const size of groups) {
      expect(size).toBeLessThanOrEqual(512);
      expect(size % 3).toBe(0);
    }
    expect(groups).toHaveLength(2);
  });

  it('a backlog beyond 4 MiB goes in several groups', async () => {
    const body = Buffer.alloc(1_500_000, 1);
    await Promise.all([1, 2, 3, 4].map((at) => redis.group.exec([set(`body${at}`, body)])));
    expect(groups).toEqual([2, 2]);
  });

  it('a unit larger than any cap still goes, by itself', async () => {
    const many = Array.from({ length: 1500 }, (_, at) => set(`m${at}`));
    const [replies] = await Promise.all([redis.group.exec(many), redis.group.exec([set('small')])]);
    expect(replies).toHaveLength(1500);
    expect(groups).toEqual([1500, 1]);
  });

  it('each caller gets its own replies, in its order', async () => {
    const units = fc.array(fc.array(fc.nat(1000), { maxLength: 8 }), { minLength: 1, maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(units, async (lists) => {
        const replies = await Promise.all(
          lists.map((list) => redis.group.exec(list.map((value) => ({ name: 'echo', args: [String(value)] })))),
        );
        expect(replies).toEqual(lists.map((list) => list.map(String)));
      }),
      { numRuns: 40 },
    );
  });

  it('gives octets back as octets where asked', async () => {
    const octets = Buffer.from([0, 255, 254, 13, 10, 0]);
    const replies = await redis.group.exec([set('b', octets), { name: 'get', args: ['b'], binary: true }]);
    expect(replies).toEqual(['OK', octets]);
  });

  it('runs scripts, and still does once the server forgot them', async () => {
    const add = increment('testForgotten');
    expect(await redis.group.exec([add, add])).toEqual([5, 10]);
    await redis.client.script('FLUSH');
    // Of a unit that was cut in two nothing can be said but that it may have run.
    await expect(redis.group.exec([set('beside'), add])).rejects.toBeInstanceOf(RedisUncertainError);
    expect(await redis.group.exec([add])).toEqual([15]);
  });

  it('runs a script whose first time was in a transaction that was refused', async () => {
    const add = increment('testRefused');
    await expect(redis.group.exec([add, { name: 'get', args: ['a', 'b'] }])).rejects.toBeInstanceOf(RedisRefusedError);
    expect(await redis.group.exec([add])).toEqual([5]);
  });
});

describe('failures', () => {
  it('a command that fails while running fails only its own unit; the rest of the unit ran', async () => {
    const wrong: Command = { name: 'lpush', args: ['text', 'x'] };
    const results = await Promise.allSettled([
      redis.group.exec([set('one')]),
      redis.group.exec([set('text'), wrong, set('after')]),
      redis.group.exec([set('two')]),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect((results[1] as PromiseRejectedResult).reason.message).toMatch(/^WRONGTYPE/);
    expect(groups).toHaveLength(1);
    expect(await redis.client.mget('one', 'after', 'two')).toEqual(['v', 'v', 'v']);
  });

  it('a command that the server refuses fails only its own unit, of which nothing ran', async () => {
    const results = await Promise.allSettled([
      redis.group.exec([set('one')]),
      redis.group.exec([set('before'), { name: 'get', args: ['a', 'b'] }]),
      redis.group.exec([set('two')]),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect((results[1] as PromiseRejectedResult).reason).toBeInstanceOf(RedisRefusedError);
    expect((results[1] as PromiseRejectedResult).reason.message).toMatch(/^ERR wrong number of arguments/);
    expect(await redis.client.mget('one', 'before', 'two')).toEqual(['v', null, 'v']);
  });

  it('a command that there is none of fails only its own unit', async () => {
    const results = await Promise.allSettled([
      redis.group.exec([set('one')]),
      redis.group.exec([{ name: 'nosuchcommand', args: [] }]),
      redis.group.exec([set('two')]),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect((results[1] as PromiseRejectedResult).reason.message).toBe('Redis has no command nosuchcommand');
  });

  it('memory that is short refuses what takes in something new, of which nothing ran, until there is some', async () => {
    const add = increment('testMemory');
    const { used } = await redis.memory();
    await redis.client.config('SET', 'maxmemory', used - 1);
    const results = await Promise.allSettled([
      redis.group.exec([set('big'), add], { refusable: true }),
      redis.group.exec([set('small')], { refusable: true }),
    ]);
    await redis.client.config('SET', 'maxmemory', 0);
    for (const result of results) {
      const { reason } = result as PromiseRejectedResult;
      expect(reason).toBeInstanceOf(RedisRefusedError);
      expect(reason.message).toMatch(/^OOM/);
    }
    expect(await redis.client.dbsize()).toBe(0);
    expect(await redis.group.exec([set('big'), add])).toEqual(['OK', 5]);
  });

  it('memory that is short stops nothing else: it runs in order, with the same replies', async () => {
    const add = increment('testBeyond');
    const octets = Buffer.from([0, 255, 13, 10]);
    const commands: Command[] = [
      set('text', octets),
      { name: 'get', args: ['text'], binary: true },
      { name: 'hset', args: ['hash', 'a', 1, 'b', '2'] },
      { name: 'hmget', args: ['hash', 'a', 'none'] },
      { name: 'zadd', args: ['zset', 5, 'x'] },
      { name: 'zrange', args: ['zset', 0, -1, 'WITHSCORES'] },
      { name: 'get', args: ['none'] },
      add,
      { name: 'del', args: ['text', 'hash', 'zset', 'testBeyond'] },
    ];
    const usual = await redis.group.exec(commands);
    const { used } = await redis.memory();
    await redis.client.config('SET', 'maxmemory', used - 1);
    const [full, failed, refused] = await Promise.allSettled([
      redis.group.exec(commands),
      redis.group.exec([set('before'), { name: 'lpush', args: ['before', 'x'] }, set('after')]),
      redis.group.exec([set('new')], { refusable: true }),
    ]);
    await redis.client.config('SET', 'maxmemory', 0);
    expect(full).toEqual({ status: 'fulfilled', value: usual });
    expect((failed as PromiseRejectedResult).reason.message).toMatch(/^WRONGTYPE/);
    expect((refused as PromiseRejectedResult).reason).toBeInstanceOf(RedisRefusedError);
    expect(await redis.client.mget('before', 'after', 'new')).toEqual(['v', 'v', null]);
  });
});

describe('a Redis that goes away', () => {
  it('what was sent is uncertain, what was not is unavailable, and what was answered is there again', async () => {
    const seen: string[] = [];
    const note = (name: string) => () => seen.push(name);
    const [gone, back] = [note('unavailable'), note('available')];
    redis.group.on('unavailable', gone).on('available', back);
    await redis.group.exec([set('kept')]);

    // The server is stopped so that it has the command and cannot answer it before it is killed.
    process.kill(server.pid, 'SIGSTOP');
    const sent = redis.group.exec([set('sent')]).catch((error: Error) => error);
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    const queued = redis.group.exec([set('queued')]).catch((error: Error) => error);
    await server.kill();
    expect(await sent).toBeInstanceOf(RedisUncertainError);
    expect(await queued).toBeInstanceOf(RedisUnavailableError);
    expect(redis.group.available).toBe(false);
    await expect(redis.group.exec([set('later')])).rejects.toBeInstanceOf(RedisUnavailableError);

    await server.restart();
    await waitFor('the connection to be back', () => redis.group.available);
    expect(await redis.group.exec([{ name: 'mget', args: ['kept', 'queued', 'later'] }])).toEqual([['v', null, null]]);
    expect(seen).toEqual(['unavailable', 'available']);
    redis.group.off('unavailable', gone).off('available', back);
  });

  it('every promise settles over many kills, and none that was kept is lost', async () => {
    const kept: string[] = [];
    const unexpected: unknown[] = [];
    let running = true;
    let settled = 0;
    let asked = 0;
    const writer = async (name: number) => {
      for (let at = 0; running; at += 1) {
        const key = `w${name}-${at}`;
        asked += 1;
        try {
          await redis.group.exec([set(key)]);
          kept.push(key);
        } catch (error) {
          if (!(error instanceof RedisUnavailableError || error instanceof RedisUncertainError)) unexpected.push(error);
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        settled += 1;
      }
    };
    const writers = Array.from({ length: 8 }, (_, name) => writer(name));
    for (let kill = 0; kill < 4; kill += 1) {
      const enough = kept.length + 200;
      await waitFor('writes to go through', () => kept.length >= enough);
      await server.kill();
      await server.restart();
    }
    running = false;
    await Promise.all(writers);
    expect(settled).toBe(asked);
    expect(unexpected).toEqual([]);
    await waitFor('the connection to be back', () => redis.group.available);
    const values = (await redis.client.mget(kept)) as (string | null)[];
    expect(values.filter((value) => value === null)).toEqual([]);
  });

  it('writes are refused while it is loading or only a replica, and nothing ran', async () => {
    await redis.client.call('REPLICAOF', '127.0.0.1', String(server.port + 1));
    try {
      await expect(redis.group.exec([set('readonly')])).rejects.toSatisfy(
        (error) => error instanceof RedisRefusedError && /^READONLY/.test(error.message),
      );
    } finally {
      await redis.client.call('REPLICAOF', 'NO', 'ONE');
    }
    expect(await redis.client.get('readonly')).toBeNull();
  });
});
