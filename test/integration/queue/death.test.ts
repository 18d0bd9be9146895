import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { laneQueue, PolicyConsumer, PolicyQueue, Presence } from '@waypost/queue';
import { end, waitFor } from '@waypost/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { hand, laneKeys, numbered, scheduler } from '../../support/lanes.js';
import { type Opened, openedRedis } from '../../support/stores.js';

const LANE = 'smtp:host:25';
const policy = new PolicyQueue(2);
let opened: Opened;
const children: ChildProcess[] = [];
const closing: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  opened = await openedRedis();
});
afterAll(() => opened?.stop());
beforeEach(() => opened.redis.client.flushall());
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  for (const child of children.splice(0)) await end(child, 'SIGKILL');
});

/** Starts a process that takes jobs and does not end them. @returns it, and what it holds. */
function holder(replica: string): { child: ChildProcess; held: () => string[] } {
  const file = join(import.meta.dirname, '../../support/lane-holder.ts');
  const child = spawn(process.execPath, [file, opened.server.url, replica], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  let output = '';
  child.stdout?.on('data', (data: Buffer) => {
    output += data.toString();
  });
  return { child, held: () => output.split('\n').filter(Boolean) };
}

/** How long a replica may be silent here, ms. */
const SILENCE = 1000;

/** Starts what gives back the jobs of the dead. @returns whose jobs it gave back, and how many. */
async function presence(replica: string, { alone = false, redis = opened.redis } = {}): Promise<[string, number][]> {
  const reaped: [string, number][] = [];
  const onReaped = (dead: string, jobs: number) => reaped.push([dead, jobs]);
  const onError = () => undefined;
  const one = new Presence({ executor: redis.group, replica, policy, alone, silence: SILENCE, onReaped, onError });
  closing.push(() => one.stop());
  await one.start();
  return reaped;
}

async function survivor(replica: string) {
  const one = scheduler({ redis: await opened.another(), replica, limit: 2 });
  closing.push(() => one.scheduler.drain(5000));
  await one.scheduler.start();
  return one;
}

async function policySurvivor(replica: string): Promise<string[]> {
  const judged: string[] = [];
  const handle = async ({ ids }: { ids: readonly string[] }) => {
    judged.push(...ids);
    return [];
  };
  const redis = await opened.another();
  const consumer = new PolicyConsumer({ redis, queue: policy, replica, concurrency: 4, retry: 1000, handle });
  closing.push(() => consumer.drain(5000));
  await consumer.start();
  return judged;
}

describe('a process that is killed', () => {
  it('has its lane jobs, policy jobs and leases given back when it has been silent', async () => {
    await hand(opened.redis, numbered(6));
    await opened.redis.group.exec([...policy.add(['p1']), ...policy.add(['p2'])]);
    const { child, held } = holder('dead');
    await waitFor('it to hold jobs', () => held().length === 3);
    const lanes = held().filter((line) => line.startsWith('lane')).length;
    expect(lanes).toBe(2);
    await end(child, 'SIGKILL');
    const { client } = opened.redis;
    expect(await client.zcard(`wp:lease:site:${LANE}`)).toBe(2);

    const one = await survivor('alive');
    const judged = await policySurvivor('alive');
    await waitFor('the policy job nobody held', () => judged.length === 1);
    // As if its last heartbeat had been long ago.
    await client.zadd('wp:replicas', 0, 'dead');
    const reaped = await presence('alive');
    await waitFor('the dead one to be noticed', () => reaped.length > 0);
    expect(reaped).toEqual([['dead', 3]]);
    await waitFor('all lane jobs', () => one.attempted.length === 6);
    expect([...one.attempted].sort()).toEqual(numbered(6));
    await waitFor('both policy jobs', () => judged.length === 2);
    expect([...judged].sort()).toEqual(['p1', 'p2']);
    await waitFor('the keys to go', async () => (await laneKeys(opened.redis)).length === 0);
    expect(await client.zrange('wp:replicas', '0', '-1')).toEqual(['alive']);
  });

  it('has them given back at once where no other can be alive', async () => {
    await hand(opened.redis, numbered(3));
    const { child, held } = holder('predecessor');
    await waitFor('it to hold jobs', () => held().length === 2);
    await end(child, 'SIGKILL');
    expect(await presence('successor', { alone: true })).toEqual([['predecessor', 2]]);
    const one = await survivor('successor');
    await waitFor('all lane jobs', () => one.attempted.length === 3);
  });

  it('is told from one that lives: that one keeps what it holds', async () => {
    await hand(opened.redis, numbered(3));
    const { child, held } = holder('living');
    await waitFor('it to hold jobs', () => held().length === 2);
    // It stalls, but has not been silent for long; so it is not the one that takes from the other lane.
    child.kill('SIGSTOP');
    expect(await presence('other')).toEqual([]);
    const one = await survivor('other');
    await hand(opened.redis, ['elsewhere'], 'mx:other');
    await waitFor('another lane to be served', () => one.attempted.includes('elsewhere'));
    expect(one.attempted).toEqual(['elsewhere']);
    expect(await opened.redis.client.llen(laneQueue(LANE).key('active'))).toBe(2);
    expect(await opened.redis.client.zcard('wp:replicas')).toBe(2);
  });
});

describe('processes that Redis was away from', () => {
  it('take none of them for dead, as none could say that it lives', async () => {
    const [a, b] = [await opened.another(), await opened.another()];
    const reaped = await Promise.all([presence('a', { redis: a }), presence('b', { redis: b })]);
    // A third is long gone, and is told from them.
    await opened.redis.client.zadd('wp:replicas', Date.now() - 60_000, 'gone');
    await waitFor('the dead one to be noticed', () => reaped.flat().length > 0);
    expect(reaped.flat().map(([dead]) => dead)).toEqual(['gone']);
    process.kill(opened.server.pid, 'SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, SILENCE * 2));
    process.kill(opened.server.pid, 'SIGCONT');
    await opened.redis.client.zadd('wp:replicas', Date.now() - 60_000, 'gone too');
    await waitFor('the next dead one to be noticed', () => reaped.flat().length > 1);
    expect(reaped.flat().map(([dead]) => dead)).toHaveLength(2);
    expect(reaped.flat().map(([dead]) => dead)).toEqual(expect.arrayContaining(['gone', 'gone too']));
    expect((await opened.redis.client.zrange('wp:replicas', '0', '-1')).sort()).toEqual(['a', 'b']);
  });
});

describe('a job that was taken over', () => {
  it('is not owned any more at the fence, and its end takes nothing from the new owner', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const owned: boolean[] = [];
    const stalled = scheduler({
      redis: await opened.another(),
      replica: 'stalled',
      limit: 1,
      attempt: async (_, context) => {
        await promise;
        owned.push((await context.fence()).owned);
        return undefined;
      },
    });
    closing.push(() => stalled.scheduler.drain(5000));
    await hand(opened.redis, ['m']);
    await stalled.scheduler.start();
    await waitFor('it to be taken', () => stalled.attempted.length === 1);
    await opened.redis.client.zadd('wp:replicas', 0, 'stalled');
    const reaped = await presence('other');
    await waitFor('the stalled one to be noticed', () => reaped.length > 0);
    expect(reaped).toEqual([['stalled', 1]]);

    const second = Promise.withResolvers<void>();
    const fences: boolean[] = [];
    const other = scheduler({
      redis: await opened.another(),
      replica: 'other',
      limit: 1,
      attempt: async (_, context) => {
        await second.promise;
        fences.push((await context.fence()).owned);
        return undefined;
      },
    });
    closing.push(() => other.scheduler.drain(5000));
    await other.scheduler.start();
    await waitFor('it to be taken over', () => other.attempted.length === 1);
    resolve();
    await waitFor('the stalled one to ask', () => owned.length === 1);
    await stalled.scheduler.drain(5000);
    second.resolve();
    await waitFor('the other to ask', () => fences.length === 1);
    expect({ owned, fences }).toEqual({ owned: [false], fences: [true] });
    await waitFor('the keys to go', async () => (await laneKeys(opened.redis)).length === 0);
  });
});

describe('a Redis that dies under load', () => {
  it('loses no job: each is attempted, and the lanes end empty', async () => {
    const both = await Promise.all([survivor('one'), survivor('two')]);
    const handed: string[] = [];
    for (let round = 0; round < 4; round += 1) {
      const ids = numbered(150, `r${round}-`);
      await waitFor('Redis to be back', () => opened.redis.group.available);
      await waitFor('the hand-over', async () => {
        await hand(opened.redis, ids, `mx:host${round % 2}`);
        return true;
      });
      handed.push(...ids);
      const attempted = both.reduce((sum, one) => sum + one.attempted.length, 0);
      await waitFor('some attempts', () => both.reduce((sum, one) => sum + one.attempted.length, 0) > attempted);
      await opened.server.kill();
      await opened.server.restart();
    }
    const all = () => new Set(both.flatMap(({ attempted }) => attempted));
    await waitFor('every job', () => all().size === handed.length);
    await waitFor('the keys to go', async () => (await laneKeys(opened.redis)).length === 0);
    expect([...all()].sort()).toEqual(handed.sort());
  });
});
