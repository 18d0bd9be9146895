import { laneJobId, laneQueue, wakeLane } from '@waypost/queue';
import { waitFor } from '@waypost/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { hand, laneKeys, numbered, type Recorded, type SchedulerOptions, scheduler } from '../../support/lanes.js';
import { type Opened, openedRedis } from '../../support/stores.js';

/** The sweep for missed wake-ups comes after 15 s; what is waited for must not need it. */
const BEFORE_SWEEP = 10_000;
const LANE = 'smtp:host:25';
let opened: Opened;
const running: Recorded[] = [];
beforeAll(async () => {
  opened = await openedRedis();
});
afterAll(() => opened?.stop());
beforeEach(() => opened.redis.client.flushall());
afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.scheduler.drain(5000)));
});

/** Starts a scheduler as a process of its own would have it: over its own connections. */
async function start(options: Partial<SchedulerOptions> = {}): Promise<Recorded> {
  const redis = options.redis ?? (await opened.another());
  const one = scheduler({ replica: `r${running.length}`, ...options, redis });
  running.push(one);
  await one.scheduler.start();
  return one;
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
/** A promise and what resolves it. */
const gate = () => Promise.withResolvers<void>();

describe('lanes', () => {
  it('every job is taken once by competing schedulers, whatever they find at their start', async () => {
    await hand(opened.redis, numbered(150, 'before'));
    const several = await Promise.all([start(), start(), start()]);
    for (let at = 0; at < 10; at += 1) await hand(opened.redis, numbered(30, `during${at}-`), `smtp:host${at % 4}:25`);
    const all = () => several.flatMap(({ attempted }) => attempted);
    await waitFor('all to be attempted', () => all().length >= 450);
    await waitFor('the lanes to be empty', async () => (await laneKeys(opened.redis)).length === 0);
    expect(new Set(all()).size).toBe(450);
    expect(all()).toHaveLength(450);
    expect(several.flatMap(({ errors }) => errors)).toEqual([]);
  });

  it('a backlog from before the start is served by as many sessions as there may be', async () => {
    const { promise, resolve } = gate();
    await hand(opened.redis, numbered(20));
    const one = await start({
      limit: 5,
      attempt: async () => {
        await promise;
        return undefined;
      },
    });
    await waitFor('five sessions at work', () => one.attempted.length === 5, BEFORE_SWEEP);
    resolve();
    await waitFor('all', () => one.attempted.length === 20);
  });

  it('a replayed hand-over adds nothing twice', async () => {
    await hand(opened.redis, ['a', 'b']);
    await hand(opened.redis, ['a', 'b', 'c']);
    const one = await start();
    await waitFor('the lanes to be empty', async () => (await laneKeys(opened.redis)).length === 0);
    expect([...one.attempted].sort()).toEqual(['a', 'b', 'c']);
  });

  it('keep the order of one session', async () => {
    const ids = numbered(40);
    await hand(opened.redis, ids);
    const one = await start({ limit: 1 });
    await waitFor('all', () => one.attempted.length === 40);
    expect(one.attempted).toEqual(ids);
    expect(one.sessions.opened).toBe(1);
  });

  it('leave no key behind, many at a time', async () => {
    const one = await start();
    for (const lane of numbered(60, 'mx:host')) await hand(opened.redis, [`of ${lane}`], lane);
    await waitFor('all', () => one.attempted.length === 60);
    // What stays says that this process is there.
    const keys = async () => ((await opened.redis.client.keys('wp:*')) as string[]).join();
    await waitFor('the keys to go', async () => (await keys()) === 'wp:deliverers');
    await waitFor('the sessions to be closed', () => one.sessions.open === 0);
    expect(one.scheduler.sessions).toBe(0);
  });

  it('a lane that was empty serves again', async () => {
    const one = await start();
    for (let at = 0; at < 5; at += 1) {
      await hand(opened.redis, [`m${at}`]);
      await waitFor('the message', () => one.attempted.includes(`m${at}`));
      await waitFor('the keys to go', async () => (await laneKeys(opened.redis)).length === 0);
    }
  });

  it('a lane that is stuck delays no other', async () => {
    const { promise, resolve } = gate();
    const one = await start({
      limit: 1,
      attempt: async (job) => {
        if (job.lane === 'mx:slow') await promise;
        return undefined;
      },
    });
    await hand(opened.redis, numbered(5, 'slow'), 'mx:slow');
    await waitFor('the slow one to begin', () => one.attempted.length === 1);
    await hand(opened.redis, numbered(50, 'fast'), 'mx:fast');
    await waitFor('the fast ones', () => one.attempted.filter((id) => id.startsWith('fast')).length === 50);
    expect(one.attempted.filter((id) => id.startsWith('slow'))).toEqual(['slow0']);
    resolve();
    await waitFor('the slow ones', () => one.attempted.length === 55);
  });

  it('a session that ends makes room for a new one on the same lease', async () => {
    const one = await start({ limit: 1, life: 3 });
    await hand(opened.redis, numbered(10));
    await waitFor('all', () => one.attempted.length === 10);
    await waitFor('the sessions to be closed', () => one.sessions.open === 0);
    expect(one.sessions.opened).toBeGreaterThanOrEqual(4);
    expect(one.attempted).toEqual(numbered(10));
  });
});

describe('the fence', () => {
  it('tells a session that another one of the same process has its job now', async () => {
    const first = gate();
    const fences: boolean[] = [];
    const one = await start({
      limit: 2,
      attempt: async (_, context) => {
        if (one.attempted.length === 1) await first.promise;
        fences.push((await context.fence()).owned);
        return undefined;
      },
    });
    await hand(opened.redis, ['held']);
    await waitFor('the first attempt', () => one.attempted.length === 1);
    const queue = laneQueue(LANE);
    // As when a process was stopped for longer than its locks live, and goes on.
    await opened.redis.client.del(`${queue.jobKey(laneJobId('held', 0))}:lock`);
    for (let times = 0; times < 2; times += 1) {
      await opened.redis.group.exec([queue.recoverStalled()]);
      await opened.redis.client.del(queue.key('stalled-check'));
    }
    await opened.redis.group.exec(wakeLane(LANE, Date.now(), 1));
    await waitFor('the second attempt', () => fences.length === 1);
    first.resolve();
    await waitFor('the first one to ask', () => fences.length === 2);
    expect(one.attempted).toEqual(['held', 'held']);
    expect(fences).toEqual([true, false]);
  });
});

describe('leases', () => {
  it('are never more than the limit over all schedulers, and all of them are used', async () => {
    let busy = 0;
    let most = 0;
    const attempt = async () => {
      busy += 1;
      most = Math.max(most, busy);
      await pause(2);
      busy -= 1;
      return undefined;
    };
    const several = await Promise.all(Array.from({ length: 4 }, () => start({ limit: 3, attempt })));
    const held: number[] = [];
    for (let at = 0; at < 8; at += 1) {
      await hand(opened.redis, numbered(40, `m${at}-`));
      held.push(await opened.redis.client.zcard(`wp:lease:site:${LANE}`));
    }
    await waitFor('all', () => several.reduce((sum, one) => sum + one.attempted.length, 0) === 320);
    expect(most).toBe(3);
    expect(Math.max(...held)).toBeLessThanOrEqual(3);
    await waitFor('the keys to go', async () => (await laneKeys(opened.redis)).length === 0);
  });

  it('one that is freed wakes who waits for it', async () => {
    const { promise, resolve } = gate();
    const first = await start({
      limit: 1,
      attempt: async () => {
        await promise;
        return undefined;
      },
    });
    await hand(opened.redis, ['held']);
    await waitFor('the first to hold the lease', () => first.attempted.length === 1);
    const second = await start({ limit: 1 });
    await hand(opened.redis, ['waiting']);
    // Leaving, the first takes no more: only the second can, once the lease is free.
    const left = first.scheduler.drain(5000);
    resolve();
    await left;
    await waitFor('the second', () => second.attempted.includes('waiting'), BEFORE_SWEEP);
    expect(first.attempted).toEqual(['held']);
  });
});

describe('retries', () => {
  it('a deferred job comes again at its time, and no earlier', async () => {
    const times: number[] = [];
    const due = Date.now() + 700;
    const one = await start({
      attempt: async (_, { attempt }) => {
        times.push(Date.now());
        return attempt === 1 ? { retryAt: due } : undefined;
      },
    });
    await hand(opened.redis, ['m']);
    await waitFor('the second attempt', () => times.length === 2, BEFORE_SWEEP);
    expect(times[1]).toBeGreaterThanOrEqual(due);
    await waitFor('the keys to go', async () => (await laneKeys(opened.redis)).length === 0);
    expect(one.errors).toEqual([]);
  });

  it('of several lanes come at their times, however close together those are', async () => {
    const due = Date.now() + 600;
    const lanes = ['mx:a', 'mx:b', 'mx:c'];
    const one = await start({
      attempt: async ({ lane }, { attempt }) =>
        attempt === 1 ? { retryAt: due + 60 * lanes.indexOf(lane) } : undefined,
    });
    for (const lane of lanes) await hand(opened.redis, [lane], lane);
    // The sweep comes 5 s after the start.
    await waitFor('the second attempts', () => one.attempted.length === 6, 3000);
  });

  it('a deferred job holds up none of its lane', async () => {
    const one = await start({
      limit: 1,
      attempt: async (job) => (job.id === 'm0' ? { retryAt: Date.now() + 3_600_000 } : undefined),
    });
    await hand(opened.redis, numbered(10));
    await waitFor('the others', () => one.attempted.length === 10);
    await waitFor('the session to be closed', () => one.sessions.open === 0);
    expect(await opened.redis.client.zcard(laneQueue(LANE).key('delayed'))).toBe(1);
  });

  it('another process takes over the retries of one that left', async () => {
    const first = await start({ attempt: async () => ({ retryAt: Date.now() + 600 }) });
    await hand(opened.redis, ['m']);
    await waitFor('the attempt', () => first.attempted.length === 1);
    await first.scheduler.drain(5000);
    const second = await start();
    await waitFor('the retry', () => second.attempted.length === 1, BEFORE_SWEEP);
    expect(first.attempted).toHaveLength(1);
  });

  it('an attempt that throws is put off, told of, and stops no other', async () => {
    const one = await start({
      attempt: async (job) => {
        if (job.id === 'bad') throw new Error('broken attempt');
        return undefined;
      },
    });
    await hand(opened.redis, ['bad', 'good']);
    await waitFor('the good one', () => one.attempted.includes('good'));
    await waitFor('the bad one to be put off', async () =>
      opened.redis.client.zcard(laneQueue(LANE).key('delayed')).then((count) => count === 1),
    );
    expect(one.errors.map(({ message }) => message)).toEqual(['broken attempt']);
  });
});

describe('drain', () => {
  it('lets open attempts end and takes no more', async () => {
    const { promise, resolve } = gate();
    const one = await start({
      limit: 2,
      attempt: async () => {
        await promise;
        return undefined;
      },
    });
    await hand(opened.redis, numbered(10));
    await waitFor('two attempts', () => one.attempted.length === 2);
    const drained = one.scheduler.drain(30_000);
    resolve();
    await drained;
    expect(one.attempted).toHaveLength(2);
    expect(one.scheduler.sessions).toBe(0);
    expect(one.scheduler.attempting).toBe(0);
    const { client } = opened.redis;
    expect(await client.llen(laneQueue(LANE).key('active'))).toBe(0);
    expect(await client.llen(laneQueue(LANE).key('wait'))).toBe(8);
    expect(await client.exists(`wp:lease:site:${LANE}`)).toBe(0);
    await hand(opened.redis, ['later']);
    const next = await start();
    await waitFor('the rest', () => next.attempted.length === 9);
    expect(one.attempted).toHaveLength(2);
  });

  it('tells attempts when the grace is over', async () => {
    const one = await start({
      attempt: async (_, { signal }) => {
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        return { retryAt: Date.now() + 1 };
      },
    });
    await hand(opened.redis, ['m']);
    await waitFor('the attempt', () => one.attempted.length === 1);
    await one.scheduler.drain(10);
    expect(await opened.redis.client.llen(laneQueue(LANE).key('active'))).toBe(0);
  });
});
