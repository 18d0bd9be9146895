import { RedisUnavailableError } from '@waypost/redis';
import { BackPressure, IdempotencyStore, RateLimiter, type Suppression, SuppressionStore } from '@waypost/store';
import { waitFor } from '@waypost/testkit';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Opened, openedRedis } from '../../support/stores.js';

let opened: Opened;
beforeAll(async () => {
  opened = await openedRedis();
});
afterAll(() => opened?.stop());
beforeEach(() => opened.redis.client.flushall());

describe('idempotency keys', () => {
  const ids = ['first'];
  it('let one of many go on, and give the others its answer', async () => {
    const [here, there] = [opened.redis, await opened.another()].map(({ group }) => new IdempotencyStore(group));
    const claims = await Promise.all(
      Array.from({ length: 20 }, (_, at) => (at % 2 ? here : there)?.claim('key', 'hash', ids)),
    );
    expect(claims.filter((claim) => claim?.kind === 'new')).toEqual([{ kind: 'new', ids }]);
    expect(claims.filter((claim) => claim?.kind === 'in_flight')).toHaveLength(19);
    await here?.finish('key', '{"id":"1"}');
    expect(await there?.claim('key', 'hash', ['other'])).toEqual({ kind: 'replay', answer: '{"id":"1"}' });
  });

  it('refuse another body, before and after the answer', async () => {
    const store = new IdempotencyStore(opened.redis.group);
    await store.claim('key', 'hash', ids);
    expect(await store.claim('key', 'other', ids)).toEqual({ kind: 'mismatch' });
    await store.finish('key', 'answer');
    expect(await store.claim('key', 'other', ids)).toEqual({ kind: 'mismatch' });
  });

  it('that were abandoned are free', async () => {
    const store = new IdempotencyStore(opened.redis.group);
    await store.claim('key', 'hash', ids);
    await store.abandon('key');
    expect(await store.claim('key', 'other', ['second'])).toEqual({ kind: 'new', ids: ['second'] });
  });

  it('of a maker that died go to the next, with the ids it may have used', async () => {
    const store = new IdempotencyStore(opened.redis.group);
    await store.claim('key', 'hash', ids);
    const [key] = (await opened.redis.client.keys('wp:idem:*')) as string[];
    // As if the claim had been made long ago.
    await opened.redis.client.hset(String(key), 'until', Date.now() - 1);
    expect(await store.claim('key', 'hash', ['second'])).toEqual({ kind: 'new', ids });
    expect(await store.claim('key', 'hash', ['third'])).toEqual({ kind: 'in_flight' });
  });

  it('are kept for a day, and an answer to a forgotten one is dropped', async () => {
    const store = new IdempotencyStore(opened.redis.group);
    await store.finish('gone', 'answer');
    expect(await opened.redis.client.keys('wp:idem:*')).toEqual([]);
    await store.claim('key', 'hash', ids);
    await store.finish('key', 'answer');
    const [key] = (await opened.redis.client.keys('wp:idem:*')) as string[];
    const left = await opened.redis.client.pttl(String(key));
    expect(left).toBeGreaterThan(86_000_000);
    expect(left).toBeLessThanOrEqual(86_400_000);
  });
});

describe('the rate limit', () => {
  const MINUTE = 60_000;
  const NOW = 1_800_000_000_000;

  it('is one for all processes, to the last token', async () => {
    const limiters = [opened.redis, await opened.another(), await opened.another()].map(
      ({ group }) => new RateLimiter(group),
    );
    const answers = [];
    for (let at = 0; at < 400; at += 1) answers.push(await limiters[at % 3]?.take('key', 300, NOW));
    const allowed = answers.filter((answer) => answer?.allowed).length;
    // Each process takes a fiftieth at a time, and one that stops asking keeps what it took.
    expect(allowed).toBeLessThanOrEqual(300);
    expect(allowed).toBeGreaterThanOrEqual(300 - 2 * 6);
    expect(answers.at(-1)).toMatchObject({ allowed: false, limit: 300, remaining: 0 });
  });

  it('is new in the next minute', async () => {
    const limiter = new RateLimiter(opened.redis.group);
    const take = (now: number) => limiter.take('key', 2, now);
    expect([await take(NOW), await take(NOW), await take(NOW)].map(({ allowed }) => allowed)).toEqual([
      true,
      true,
      false,
    ]);
    expect(await take(NOW + MINUTE)).toMatchObject({ allowed: true, remaining: 1 });
  });

  it('says when', async () => {
    const limiter = new RateLimiter(opened.redis.group);
    const start = Math.floor(NOW / MINUTE) * MINUTE;
    expect((await limiter.take('key', 5, start)).reset).toBe(60);
    expect((await limiter.take('key', 5, start + 59_001)).reset).toBe(1);
  });

  it("of one key is no other key's", async () => {
    const limiter = new RateLimiter(opened.redis.group);
    expect((await limiter.take('one', 1, NOW)).allowed).toBe(true);
    expect((await limiter.take('one', 1, NOW)).allowed).toBe(false);
    expect((await limiter.take('two', 1, NOW)).allowed).toBe(true);
  });

  it('never lets more through, whoever asks', async () => {
    const groups = [opened.redis.group, (await opened.another()).group];
    let serial = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 120 }),
        fc.array(fc.boolean(), { maxLength: 150 }),
        async (most, who) => {
          serial += 1;
          const limiters = groups.map((group) => new RateLimiter(group));
          const answers = await Promise.all(who.map((one) => limiters[one ? 1 : 0]?.take(`k${serial}`, most, NOW)));
          expect(answers.filter((answer) => answer?.allowed).length).toBeLessThanOrEqual(most);
          for (const answer of answers) expect(answer?.remaining).toBeGreaterThanOrEqual(0);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('lets all through while Redis is away', async () => {
    const limiter = new RateLimiter({ exec: () => Promise.reject(new RedisUnavailableError()) });
    for (let at = 0; at < 5; at += 1) expect((await limiter.take('key', 2, NOW)).allowed).toBe(true);
  });
});

describe('suppressions', () => {
  const NOW = 1_800_000_000_000;
  const OPTIONS = { maxEntries: 100 };
  const user = (address: string, more: Partial<Suppression> = {}): Suppression => ({
    address,
    cause: 'user_unknown',
    at: NOW,
    ...more,
  });

  it('are found however the address is written, by domain too', async () => {
    const store = new SuppressionStore(opened.redis.group);
    await store.put(user('Bob@Example.org'), OPTIONS);
    await store.put(user('@gone.example', { cause: 'host_unknown' }), OPTIONS);
    const found = await store.find(['alice@example.org', 'bob@EXAMPLE.org', 'eve@gone.example']);
    expect([...found]).toEqual([
      ['bob@EXAMPLE.org', user('bob@example.org')],
      ['eve@gone.example', user('@gone.example', { cause: 'host_unknown' })],
    ]);
    expect(await opened.redis.group.exec([store.count()])).toEqual([2]);
    expect(await store.remove('BOB@example.org')).toBe(true);
    expect(await store.remove('bob@example.org')).toBe(false);
    expect(await store.find(['bob@example.org'])).toEqual(new Map());
    expect(await store.find([])).toEqual(new Map());
  });

  it('of a tenant are his alone', async () => {
    const store = new SuppressionStore(opened.redis.group);
    await store.put(user('carol@example.org', { tenant: 'blue', cause: 'feedback' }), OPTIONS);
    expect((await store.find(['carol@example.org'], 'blue')).size).toBe(1);
    expect((await store.find(['carol@example.org'], 'red')).size).toBe(0);
    expect((await store.find(['carol@example.org'])).size).toBe(0);
  });

  it('end when their time is over, and are swept by those that come', async () => {
    const store = new SuppressionStore(opened.redis.group);
    await store.put(user('dan@example.org', { expires: NOW + 1000 }), OPTIONS);
    expect(await store.get('dan@example.org', undefined, NOW + 999)).toBeDefined();
    expect(await store.get('dan@example.org', undefined, NOW + 1000)).toBeUndefined();
    await store.put(user('next@example.org', { at: NOW + 2000 }), OPTIONS);
    expect(await opened.redis.client.hexists('wp:suppressions', 'dan@example.org')).toBe(0);
  });

  it('an entry that lasts is not shortened by itself, but by hand', async () => {
    const store = new SuppressionStore(opened.redis.group);
    await store.put(user('erin@example.org', { cause: 'manual' }), OPTIONS);
    const shorter = user('erin@example.org', { cause: 'mailbox_full', expires: NOW + 5000 });
    expect(await store.put(shorter, OPTIONS)).toBe('kept');
    expect((await store.get('erin@example.org', undefined, NOW))?.cause).toBe('manual');
    expect(await store.put(shorter, { ...OPTIONS, replace: true })).toBe('added');
    expect((await store.get('erin@example.org', undefined, NOW))?.cause).toBe('mailbox_full');
  });

  it('may need more than one time', async () => {
    const store = new SuppressionStore(opened.redis.group);
    const often = { ...OPTIONS, after: { limit: 3, period: 60_000 } };
    const answers = [];
    // What one message met with counts once, however often it is told.
    for (const message of ['m1', 'm2', 'm2', 'm3'])
      answers.push(await store.put(user('frank@example.org', { message }), often));
    expect(answers).toEqual(['not_yet', 'not_yet', 'not_yet', 'added']);
  });

  it('are so many and no more', async () => {
    const store = new SuppressionStore(opened.redis.group);
    await opened.redis.client.del('wp:suppressions', 'wp:suppressions:expiry');
    const answers = [];
    for (const name of ['a', 'b', 'c']) answers.push(await store.put(user(`${name}@example.org`), { maxEntries: 2 }));
    expect(answers).toEqual(['added', 'added', 'full']);
  });
});

describe('back-pressure', () => {
  it('refuses past the high-water mark, and welcomes again below it', async () => {
    const { redis } = opened;
    const { used } = await redis.memory();
    const pressure = new BackPressure(redis, used + 4_000_000);
    await pressure.check();
    expect(pressure.reason()).toBeUndefined();
    await redis.client.set('big', Buffer.alloc(20_000_000));
    await pressure.check();
    expect(pressure.reason()).toBe('the queue is full');
    await redis.client.del('big');
    // Redis frees the buffers that carried it a little later.
    await waitFor('room', async () => {
      await pressure.check();
      return pressure.reason() === undefined;
    });
  });

  it('takes 85 % of what Redis may use where nothing is said, and no limit where it has none', async () => {
    const { redis } = opened;
    const pressure = new BackPressure(redis, 0);
    await redis.client.set('big', Buffer.alloc(4_000_000));
    await pressure.check();
    expect(pressure.reason()).toBeUndefined();
    const { used } = await redis.memory();
    await redis.client.config('SET', 'maxmemory', Math.floor(used / 0.9));
    await pressure.check();
    expect(pressure.reason()).toBe('the queue is full');
    await redis.client.config('SET', 'maxmemory', Math.floor(used / 0.7));
    await pressure.check();
    expect(pressure.reason()).toBeUndefined();
    await redis.client.config('SET', 'maxmemory', 0);
  });

  it('refuses while Redis is away, and looks by itself', async () => {
    const pressure = new BackPressure(opened.redis, 1);
    pressure.start();
    try {
      await waitFor('it to look', () => pressure.reason() === 'the queue is full');
      await opened.server.kill();
      await waitFor('it to notice', () => pressure.reason() === 'the queue cannot be reached');
      await opened.server.restart();
      await waitFor('Redis to be back', () => pressure.reason() === 'the queue is full');
    } finally {
      pressure.stop();
    }
  });
});
