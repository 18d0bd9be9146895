import { PolicyConsumer, type PolicyConsumerOptions, type PolicyJob, PolicyQueue } from '@waypost/queue';
import { type Command, RedisUnavailableError } from '@waypost/redis';
import { waitFor } from '@waypost/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Opened, openedRedis } from '../../support/stores.js';

/** The sweep for missed wake-ups comes after 15 s; what is waited for must not need it. */
const BEFORE_SWEEP = 10_000;
const queue = new PolicyQueue(4);
let opened: Opened;
const closing: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  opened = await openedRedis();
});
afterAll(() => opened?.stop());
beforeEach(() => opened.redis.client.flushall());
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

interface Running {
  readonly consumer: PolicyConsumer;
  /** Ids in the order their handling began. */
  readonly begun: string[];
  readonly errors: Error[];
  /** Handlers at work now, and at most. */
  readonly busy: { now: number; most: number };
}

async function start(options: Partial<PolicyConsumerOptions> = {}): Promise<Running> {
  const begun: string[] = [];
  const errors: Error[] = [];
  const busy = { now: 0, most: 0 };
  const consumer = new PolicyConsumer({
    redis: await opened.another(),
    queue,
    replica: `r${closing.length}`,
    concurrency: 4,
    retry: 200,
    onError: (error) => errors.push(error),
    ...options,
    handle: async (job) => {
      begun.push(...job.ids);
      busy.now += 1;
      busy.most = Math.max(busy.most, busy.now);
      try {
        return (await options.handle?.(job)) ?? [];
      } finally {
        busy.now -= 1;
      }
    },
  });
  closing.push(() => consumer.drain(5000));
  await consumer.start();
  return { consumer, begun, errors, busy };
}

const numbered = (count: number) => Array.from({ length: count }, (_, at) => `m${at}`);
const add = (ids: readonly string[], at = 0) => opened.redis.group.exec(ids.flatMap((id) => queue.add([id], { at })));
/** Adds to one partition, and wakes whoever takes from it. */
const addTo = (partition: number, id: string): Command[] => [
  queue.partitions[partition]?.add(id, JSON.stringify({ ids: [id] })) as Command,
  { name: 'publish', args: ['wp:wake:policy', `${partition} 0`] },
];
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Jobs in all partitions at one moment: between two looks, a job that moves from list to list would be in neither. */
async function left(): Promise<number> {
  const counts = (await opened.redis.group.exec(
    queue.partitions.flatMap((partition) => [
      { name: 'llen', args: [partition.key('wait')] },
      { name: 'llen', args: [partition.key('active')] },
      { name: 'zcard', args: [partition.key('delayed')] },
    ]),
  )) as number[];
  return counts.reduce((sum, count) => sum + count, 0);
}

describe('policy jobs', () => {
  it('are handled once each by competing consumers, those from before their start too', async () => {
    await add(numbered(60));
    const several = await Promise.all([start(), start(), start()]);
    await add(numbered(60).map((id) => `later-${id}`));
    const all = () => several.flatMap(({ begun }) => begun);
    await waitFor('all', () => all().length >= 120);
    await waitFor('the queue to be empty', async () => (await left()) === 0, BEFORE_SWEEP);
    expect(new Set(all()).size).toBe(120);
    expect(all()).toHaveLength(120);
  });

  it('what the handler returns is recorded with the end of the job', async () => {
    await start({ handle: async ({ ids }) => ids.map((id) => ({ name: 'set', args: [`verdict:${id}`, 'pass'] })) });
    await add(numbered(5));
    await waitFor('the queue to be empty', async () => (await left()) === 0, BEFORE_SWEEP);
    const keys = numbered(5).map((id) => `verdict:${id}`);
    expect(await opened.redis.client.mget(keys)).toEqual(Array(5).fill('pass'));
  });

  it('start no earlier than they are due', async () => {
    const due = Date.now() + 700;
    const times: number[] = [];
    await start({
      handle: async () => {
        times.push(Date.now());
        return [];
      },
    });
    await add(['now']);
    await add(['later'], due);
    await waitFor('both', () => times.length === 2, BEFORE_SWEEP);
    expect(times[1]).toBeGreaterThanOrEqual(due);
  });

  it('are tried again after the handler throws, the others at once', async () => {
    let failures = 0;
    const { begun, errors } = await start({
      handle: async ({ ids }: PolicyJob) => {
        if (ids[0] === 'm3' && failures < 2) {
          failures += 1;
          throw new Error('a check broke');
        }
        return [];
      },
    });
    await add(numbered(8));
    await waitFor('the queue to be empty', async () => (await left()) === 0, BEFORE_SWEEP);
    expect(begun.filter((id) => id === 'm3')).toHaveLength(3);
    expect(begun).toHaveLength(10);
    expect(errors.map(({ message }) => message)).toEqual(['a check broke', 'a check broke']);
  });

  it('are tried again by another where the one whose handler threw is gone', async () => {
    const gate = Promise.withResolvers<void>();
    // It is at work, and hears of the failure of the other all the same.
    const other = await start({
      concurrency: 1,
      handle: async () => {
        await gate.promise;
        return [];
      },
    });
    await add(['busy']);
    await waitFor('it to be at work', () => other.begun.length === 1);
    const failing = await start({
      retry: 500,
      handle: async () => {
        throw new Error('a check broke');
      },
    });
    await add(['m']);
    await waitFor('the failure', () => failing.errors.length > 0);
    await failing.consumer.drain(5000);
    gate.resolve();
    await waitFor('the other to try', () => other.begun.includes('m'), BEFORE_SWEEP);
  });

  it('that Redis kept from being judged are tried again soon, whatever the pause for others', async () => {
    let failures = 0;
    const { begun } = await start({
      retry: 3_600_000,
      handle: async () => {
        failures += 1;
        if (failures === 1) throw new RedisUnavailableError();
        return [];
      },
    });
    await add(['m']);
    await waitFor('the second time', () => begun.length === 2, BEFORE_SWEEP);
  });
});

describe('places', () => {
  it.each([1, 2, 3])('%d: never more at work, none left idle, all partitions served', async (concurrency) => {
    const { begun, busy } = await start({
      concurrency,
      handle: async () => {
        await pause(3);
        return [];
      },
    });
    await add(numbered(60));
    await waitFor('all', () => begun.length === 60);
    await waitFor('the queue to be empty', async () => (await left()) === 0, BEFORE_SWEEP);
    expect(busy.most).toBe(concurrency);
  });

  it('one place, taken, and four partitions that wait for it: nothing is asked of Redis meanwhile', async () => {
    const gate = Promise.withResolvers<void>();
    const redis = await opened.another();
    let asked = 0;
    const exec = redis.group.exec.bind(redis.group);
    redis.group.exec = (commands) => {
      asked += 1;
      return exec(commands);
    };
    const { begun } = await start({
      redis,
      concurrency: 1,
      handle: async () => {
        await gate.promise;
        return [];
      },
    });
    await add(numbered(12));
    await waitFor('the first', () => begun.length === 1);
    const before = asked;
    for (let at = 0; at < 20; at += 1) {
      await opened.redis.group.exec(
        [0, 1, 2, 3].map((one) => ({ name: 'publish', args: ['wp:wake:policy', `${one} 0`] })),
      );
    }
    // A message of our own on the same connection: what was published before it has been heard.
    const heard = new Promise((resolve) =>
      redis.subscriber.on('message', (channel) => channel === 'mark' && resolve(0)),
    );
    await redis.subscriber.subscribe('mark');
    await opened.redis.client.publish('mark', '');
    await heard;
    expect(asked).toBe(before);
    expect(begun).toHaveLength(1);
    gate.resolve();
    await waitFor('the queue to be empty', async () => (await left()) === 0, BEFORE_SWEEP);
    expect([...begun].sort()).toEqual(numbered(12).sort());
    // Taking and ending each job, and an empty answer from each partition now and then.
    expect(asked).toBeLessThan(60);
  });

  it('a partition that never runs dry starves no other', async () => {
    let serial = 0;
    let flooding = true;
    const { begun } = await start({
      concurrency: 1,
      handle: async ({ ids }) => (flooding && ids[0]?.startsWith('flood') ? addTo(0, `flood${serial++}`) : []),
    });
    await opened.redis.group.exec([...addTo(0, 'flood-a'), ...addTo(0, 'flood-b')]);
    await waitFor('the flood', () => begun.length > 10);
    await opened.redis.group.exec([...addTo(1, 'one'), ...addTo(2, 'two'), ...addTo(3, 'three')]);
    await waitFor('the others', () => ['one', 'two', 'three'].every((id) => begun.includes(id)));
    flooding = false;
    await waitFor('the queue to be empty', async () => (await left()) === 0, BEFORE_SWEEP);
  });
});

describe('drain', () => {
  it('lets what is at work end, and takes no more', async () => {
    const gate = Promise.withResolvers<void>();
    const { consumer, begun, busy } = await start({
      concurrency: 2,
      handle: async () => {
        await gate.promise;
        return [];
      },
    });
    await add(numbered(10));
    await waitFor('two at work', () => busy.now === 2);
    const drained = consumer.drain(30_000);
    gate.resolve();
    await drained;
    expect(begun).toHaveLength(2);
    expect(await left()).toBe(8);
    await add(['later']);
    const next = await start();
    await waitFor('the rest', () => next.begun.length === 9);
    expect(begun).toHaveLength(2);
  });
});

describe('a Redis that dies', () => {
  it('loses no job', async () => {
    const { begun } = await start({ concurrency: 2 });
    for (let round = 0; round < 3; round += 1) {
      await waitFor('the hand-over', async () => {
        await add(numbered(80).map((id) => `${round}-${id}`));
        return true;
      });
      await waitFor('some', () => begun.some((id) => id.startsWith(`${round}-`)));
      await opened.server.kill();
      await opened.server.restart();
    }
    await waitFor('all', () => new Set(begun).size === 240);
    await waitFor('the queue to be empty', async () => (await left()) === 0, BEFORE_SWEEP);
  });
});
