import { lift, suspend } from '@waypost/queue';
import type { Offer } from '@waypost/shaping';
import { waitFor } from '@waypost/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { hand, laneKeys, numbered, type Recorded, type SchedulerOptions, scheduler } from '../../support/lanes.js';
import { type Opened, openedRedis } from '../../support/stores.js';

const HOUR = 3_600_000;
/** A sweep looks at forgotten lanes every 5 s; what is waited for must not need many. */
const SOON = 10_000;
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

async function start(options: Partial<SchedulerOptions>): Promise<Recorded> {
  const one = scheduler({ replica: `r${running.length}`, redis: await opened.another(), ...options });
  running.push(one);
  await one.scheduler.start();
  return one;
}

const way = (name: string, rates: Offer['limits'][number]['rates'] = [], connections = 1): Offer => ({
  source: { name },
  limits: [{ key: `site|${name}`, connections, rates }],
  scopes: ['site', `source:${name}`],
});
const empty = async () => (await laneKeys(opened.redis)).filter((key) => key.startsWith('wp:lane:')).length === 0;

describe('a lane of several sources', () => {
  it('goes on from another one when the first may send no more today, with one session or many', async () => {
    for (const limit of [1, 2]) {
      await opened.redis.client.flushall();
      const used: string[] = [];
      const one = await start({
        limit,
        offers: () => [way('new', [{ limit: 3, period: 24 * HOUR }]), way('old')],
        attempt: async (_, __, ___, { offer }) => {
          used.push(offer.source?.name ?? '');
          return undefined;
        },
      });
      await hand(opened.redis, numbered(12));
      await waitFor('all', () => one.attempted.length === 12, SOON);
      await waitFor('the lane to be empty', empty, SOON);
      expect(used.filter((name) => name === 'new').length).toBeLessThanOrEqual(3);
      expect(used).toContain('new');
      await one.scheduler.drain(5000);
    }
  });

  it('uses all that a day allows, a message at a time', async () => {
    const used: string[] = [];
    const one = await start({
      offers: () => [
        way('new', [
          { limit: 4, period: 24 * HOUR },
          { limit: 1000, period: 1000 },
        ]),
        way('old'),
      ],
      attempt: async (_, __, ___, { offer }) => {
        used.push(offer.source?.name ?? '');
        return undefined;
      },
    });
    for (let at = 0; at < 6; at += 1) {
      await hand(opened.redis, [`m${at}`]);
      await waitFor('the message', () => used.length === at + 1, SOON);
      await waitFor('the session to end', () => one.sessions.open === 0, SOON);
    }
    expect(used).toEqual(['new', 'new', 'new', 'new', 'old', 'old']);
  });
});

describe('sessions of a process', () => {
  it('are no longer kept idle once another lane waits for one', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const redis = await opened.another();
    const one = await start({
      redis,
      slots: 1,
      idle: HOUR,
      attempt: async ({ id }) => {
        if (id === 'm0') await promise;
        return undefined;
      },
    });
    await hand(opened.redis, ['m0'], 'smtp:first:25');
    await waitFor('the session', () => one.attempted.length === 1);
    // Heard after the scheduler has heard it: by then the lane stands in line.
    const heard = new Promise((call) => {
      redis.subscriber.on('message', (_, text) => text.endsWith('smtp:second:25') && call(text));
    });
    await hand(opened.redis, ['n0'], 'smtp:second:25');
    await heard;
    resolve();
    // A sweep, which comes later, would end the idle session too.
    await waitFor('the other lane', () => one.attempted.includes('n0'), 3_000);
  });
});

describe('a suspension', () => {
  it('ends the sessions under way, and its lift starts them again', async () => {
    const gates = new Map<string, () => void>();
    const one = await start({
      limit: 2,
      offers: () => [way('a', [], 2)],
      attempt: async ({ id }) => {
        if (id === 'm0' || id === 'm1') await new Promise<void>((resolve) => gates.set(id, resolve));
        return undefined;
      },
    });
    await hand(opened.redis, numbered(30));
    await waitFor('both sessions', () => gates.size === 2);
    await opened.redis.group.exec([suspend('site', HOUR, 'enough', 'op')]);
    one.scheduler.reshaped('site');
    for (const open of gates.values()) open();
    await waitFor('the sessions to end', () => one.sessions.open === 0, SOON);
    expect(one.attempted.sort()).toEqual(['m0', 'm1']);
    await opened.redis.group.exec([lift('site')]);
    await waitFor('all', () => one.attempted.length === 30, SOON);
    expect(new Set(one.attempted).size).toBe(30);
  });

  it('of another scope is no business of theirs', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const one = await start({
      limit: 1,
      offers: () => [way('a')],
      attempt: async () => {
        await promise;
        return undefined;
      },
    });
    await hand(opened.redis, numbered(5));
    await waitFor('the session', () => one.attempted.length === 1);
    one.scheduler.reshaped('source:b');
    resolve();
    await waitFor('all', () => one.attempted.length === 5, SOON);
    expect(one.sessions.opened).toBe(1);
  });
});

describe('changed terms', () => {
  it('hold for sessions under way from their next message on', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    let names = ['a'];
    const used: string[] = [];
    const one = await start({
      limit: 1,
      offers: () => names.map((name) => way(name)),
      attempt: async (_, __, ___, { offer }) => {
        used.push(offer.source?.name ?? '');
        await promise;
        return undefined;
      },
    });
    await hand(opened.redis, numbered(5));
    await waitFor('the session', () => used.length === 1);
    names = ['b'];
    one.scheduler.reshaped('site');
    resolve();
    await waitFor('all', () => used.length === 5, SOON);
    expect(used).toEqual(['a', 'b', 'b', 'b', 'b']);
    await waitFor('the lane to be empty', empty, SOON);
  });
});
