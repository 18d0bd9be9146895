import { baseModel, Classifier, Layers, Lessons, openMail } from '@waypost/classifier';
import { loadConfig } from '@waypost/config';
import { openRedis, type RedisHandle } from '@waypost/redis';
import { startRedis, type TestRedis, waitFor } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const classifier = new Classifier(baseModel());
const limits = { max_weights: 600, max_lessons: 40, per_hour: 1_000, rate: 10, max_weight: 1 };

let redis: TestRedis;
let handle: RedisHandle;
let lessons: Lessons;
beforeAll(async () => {
  redis = await startRedis();
  handle = await openRedis({ ...loadConfig({ env: {} }).redis, url: redis.url });
  lessons = new Lessons(handle.group, () => limits);
});
afterAll(async () => {
  await handle?.close();
  await redis?.stop();
});

/** A word of letters for a number. */
const word = (number: number) => `w${[...String(number)].map((digit) => 'abcdefghij'[Number(digit)]).join('')}`;
const letter = (words: readonly string[]) =>
  Buffer.from(`From: a@example.com\nTo: b@example.org\nSubject: hello\n\n${words.join(' ')}\n`);
const lengths = async (...names: string[]) =>
  (await handle.group.exec(names.map((name) => ({ name: 'hlen', args: [`wp:spam:{t:bounded}:${name}`] })))) as number[];

describe('what a tenant taught', () => {
  it('stays within its bounds however much is taught, and the latest is still known', async () => {
    for (let at = 0; at < 60; at++) {
      const words = Array.from({ length: 30 }, (_, index) => word(at * 100 + index));
      expect(await lessons.learn(letter(words), 'spam', { classifier, tenant: 'bounded' })).toBe('learned');
      const [newer = 0, older = 0] = await lengths('weights', 'weights:older');
      expect(newer + older).toBeLessThanOrEqual(limits.max_weights);
      const [now = 0, then = 0] = await lengths('lessons', 'lessons:older');
      expect(now + then).toBeLessThanOrEqual(limits.max_lessons);
    }
    const latest = letter(Array.from({ length: 30 }, (_, index) => word(59 * 100 + index)));
    expect(await lessons.learn(latest, 'spam', { classifier, tenant: 'bounded' })).toBe('known');
  });

  it('moves no feature and no verdict further than is allowed', async () => {
    const words = Array.from({ length: 20 }, (_, index) => word(index));
    for (let at = 0; at < 30; at++) {
      const numbered = letter([...words, word(1_000 + at)]);
      await lessons.learn(numbered, at % 10 === 9 ? 'ham' : 'spam', { classifier, tenant: 'moved' });
    }
    const layer = await lessons.read('moved');
    for (const weight of layer.values()) expect(Math.abs(weight)).toBeLessThanOrEqual(2 * limits.max_weight);
    const mail = openMail(letter(words));
    const alone = classifier.classify(mail).score;
    const wild = new Map([...layer.keys()].map((hash) => [hash, 1_000]));
    expect(classifier.classify(mail, [wild]).score).toBeCloseTo(alone + 6);
  });

  it('is read anew after news of it, and what is known stays in force while Redis is away', async () => {
    const layers = new Layers(handle.subscriber, lessons);
    await layers.start();
    expect((await layers.of('late'))[1]?.size).toBe(0);
    await lessons.learn(letter(['gulls', 'feathers']), 'spam', { classifier, tenant: 'late' });
    const size = await waitFor('the lesson to be known', async () => (await layers.of('late'))[1]?.size);
    await lessons.learn(letter(['pigeons', 'seeds']), 'spam', { classifier, tenant: 'late' });
    await redis.kill();
    await waitFor('Redis to be missed', () => !handle.group.available);
    expect((await layers.of('late'))[1]?.size).toBeGreaterThanOrEqual(size);
    await expect(layers.of('never asked for')).rejects.toThrow();
    await redis.restart();
    layers.stop();
  });
});
