import { type Answer, adjust, ask, FOREVER, HELD_BACK, lift, parseAnswer, strike, suspend } from '@waypost/queue';
import type { Limit, Offer } from '@waypost/shaping';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Opened, openedRedis } from '../../support/stores.js';

const SECOND = 1000;
const HOUR = 3_600_000;
let opened: Opened;
beforeAll(async () => {
  opened = await openedRedis();
});
afterAll(() => opened?.stop());
beforeEach(() => opened.redis.client.flushall());

let serial = 0;
interface Wish {
  readonly holder?: string;
  readonly want?: number;
  readonly lost?: number;
  /** Left out: a lease. */
  readonly permits?: boolean;
}

/** Asks as a session does. */
async function request(offers: readonly Offer[], wish: Wish = {}): Promise<Answer> {
  serial += 1;
  const { holder = `r#${serial}`, want = 1, permits = false, lost = 0 } = wish;
  const [reply] = await opened.redis.group.exec([ask({ lane: 'lane', holder, want, lost, offers, lease: !permits })]);
  return parseAnswer(reply);
}

const limit = (key: string, more: Partial<Limit> = {}): Limit => ({ key, rates: [], ...more });
const rate = (perPeriod: number, period = SECOND) => ({ rates: [{ limit: perPeriod, period }] });
const offer = (...limits: Limit[]): Offer => ({ limits, scopes: limits.map(({ key }) => key) });

describe('permits by second', () => {
  it('are spaced evenly, whoever asks, and none lies far ahead', async () => {
    const times: number[] = [];
    let refused: Answer | undefined;
    while (!refused) {
      const answer = await request([offer(limit('site', rate(10)))], { want: 3 });
      if (answer.offer === 0) refused = answer;
      else for (let at = 0; at < answer.permits; at += 1) times.push(answer.delay + at * answer.gap);
    }
    // A second ahead and one more, but for the milliseconds that asking took.
    expect(times.length).toBeGreaterThanOrEqual(11);
    expect(times.length).toBeLessThanOrEqual(13);
    expect(refused).toMatchObject({ reason: 'rate', key: 'site' });
    expect(refused.wait).toBeGreaterThan(0);
  });

  it('of several limits keep to the slowest, and take from each what they use of it', async () => {
    const both = offer(limit('site', rate(2)), limit('all', rate(20)));
    const answer = await request([both], { want: 10 });
    expect(answer).toMatchObject({ offer: 1, gap: 500 });
    expect(answer.permits).toBeLessThanOrEqual(3);
    const other = await request([offer(limit('other', rate(20)), limit('all', rate(20)))], { want: 1 });
    expect(other).toMatchObject({ offer: 1, permits: 1 });
    expect(other.delay).toBeLessThanOrEqual(answer.permits * 50);
  });

  it('a slow site holds up no other that shares a limit with it', async () => {
    const slow = offer(limit('slow', rate(2)), limit('all', rate(50)));
    while ((await request([slow])).offer > 0);
    const fast = await request([offer(limit('fast', rate(50)), limit('all', rate(50)))]);
    expect(fast.offer).toBe(1);
    expect(fast.delay).toBeLessThan(200);
  });

  it('that were not used in time are had again', async () => {
    const site = offer(limit('site', rate(1)));
    const first = await request([site], { want: 2 });
    expect(first.permits).toBe(2);
    expect((await request([site])).offer).toBe(0);
    expect((await request([site], { lost: 2 })).offer).toBe(1);
  });
});

describe('permits by hour and day', () => {
  const site = offer(limit('site', rate(5, HOUR)));

  it('are as many as are left, and then none', async () => {
    const first = await request([site], { want: 4 });
    expect(first).toMatchObject({ permits: 4, delay: 0, gap: 0 });
    expect(await request([site], { want: 4 })).toMatchObject({ permits: 1 });
    const refused = await request([site]);
    expect(refused).toMatchObject({ offer: 0, reason: 'rate', key: 'site' });
    // The slots of a sliding window leave it one by one.
    expect(refused.wait).toBeGreaterThan(HOUR * 0.9);
    expect(refused.wait).toBeLessThanOrEqual(HOUR);
  });

  it('that were not used in time are had again, where a rate by second holds as well', async () => {
    const both = offer(limit('site', { rates: [...rate(100).rates, ...rate(5, HOUR).rates] }));
    expect((await request([both], { want: 5 })).permits).toBe(5);
    expect((await request([both])).offer).toBe(0);
    expect(await request([both], { want: 5, lost: 3 })).toMatchObject({ offer: 1, permits: 3 });
    expect((await request([both])).offer).toBe(0);
  });

  it('where there are none left, the next way is taken', async () => {
    const other = offer(limit('other'));
    const taken = [];
    for (let at = 0; at < 7; at += 1) taken.push((await request([site, other])).offer);
    expect(taken).toEqual([1, 1, 1, 1, 1, 2, 2]);
  });
});

describe('leases', () => {
  it('are as many as each of the limits has connections', async () => {
    const one = offer(limit('one', { connections: 3 }), limit('tenant', { connections: 4 }));
    const two = offer(limit('two', { connections: 3 }), limit('tenant', { connections: 4 }));
    const got = [];
    for (const way of [one, one, one, one, two, two]) got.push(await request([way]));
    expect(got.map(({ offer }) => offer)).toEqual([1, 1, 1, 0, 1, 0]);
    expect(got[3]).toMatchObject({ reason: 'connections', key: 'one' });
    expect(got[5]).toMatchObject({ reason: 'connections', key: 'tenant' });
  });

  it('a refused one has taken nothing of any limit', async () => {
    const full = limit('full', { connections: 1 });
    await request([offer(full)]);
    const way = offer(limit('free', { connections: 1, ...rate(1) }), full);
    for (let at = 0; at < 3; at += 1) expect((await request([way])).offer).toBe(0);
    expect(await request([offer(limit('free', { connections: 1, ...rate(1) }))])).toMatchObject({ offer: 1, delay: 0 });
  });
});

describe('the window of a site', () => {
  const site = offer(limit('site', { connections: 8 }));
  const sessions = async () => {
    await opened.redis.client.del('wp:lease:site');
    let count = 0;
    while ((await request([site])).offer > 0) count += 1;
    return count;
  };
  const trouble = () => opened.redis.group.exec([adjust('site', 8, false)]);
  const calm = () => opened.redis.client.del('wp:window:site:calm');

  it('is halved by trouble, once for what was under way, and never closed', async () => {
    expect(await sessions()).toBe(8);
    await trouble();
    await trouble();
    expect(await sessions()).toBe(4);
    for (const expected of [2, 1, 1]) {
      await calm();
      await trouble();
      expect(await sessions()).toBe(expected);
    }
  });

  it('opens by one for each success, up to the limit', async () => {
    await trouble();
    const widths = [];
    for (let at = 0; at < 6; at += 1) {
      await opened.redis.group.exec([adjust('site', 8, true)]);
      widths.push(await sessions());
    }
    expect(widths).toEqual([5, 6, 7, 8, 8, 8]);
    expect(await opened.redis.client.exists('wp:window:site')).toBe(0);
  });
});

describe('suspensions', () => {
  const site = offer(limit('site'));
  const rule = { scope: 'site', rule: 'r', action: 'suspend', duration: HOUR, reason: 'it said so' } as const;
  /** Lets the suspension come to its end. */
  const end = () => opened.redis.client.hset('wp:hold:site', 'till', Date.now() - 1);
  const struck = (more: Record<string, unknown> = {}) =>
    opened.redis.group.exec([strike({ ...rule, after: undefined, ...more })]);

  it('of an operator let nothing through until they are lifted', async () => {
    await opened.redis.group.exec([suspend('site', HOUR, 'maintenance', 'op')]);
    expect(await request([site])).toMatchObject({ offer: 0, reason: 'suspended', key: 'site' });
    await opened.redis.group.exec([lift('site')]);
    expect(await request([site])).toMatchObject({ offer: 1, probe: '' });
  });

  it('hold what is under way back too', async () => {
    const { offer: granted } = await request([site], { holder: 'a' });
    expect(granted).toBe(1);
    await struck();
    expect(await request([site], { holder: 'a', permits: true })).toMatchObject({ offer: 0, reason: 'suspended' });
  });

  it('by a rule come when it was met so often in so long', async () => {
    const after = { limit: 3, period: 400 };
    await struck({ after });
    await struck({ after });
    expect((await request([site])).offer).toBe(1);
    // Those two are forgotten when their time is over.
    await expect.poll(() => opened.redis.client.exists('wp:strikes:site r')).toBe(0);
    await struck({ after });
    expect((await request([site])).offer).toBe(1);
    await struck({ after });
    await struck({ after });
    expect(await request([site])).toMatchObject({ offer: 0, reason: 'suspended' });
  });

  it('of one rule are not counted for another', async () => {
    const after = { limit: 2, period: HOUR };
    await struck({ after, rule: 'one' });
    await struck({ after, rule: 'other' });
    expect((await request([site])).offer).toBe(1);
  });

  it('by a rule end with one message, and all go when it went well', async () => {
    await struck();
    await end();
    expect(await request([site], { holder: 'a', want: 5 })).toMatchObject({ offer: 1, probe: 'site', permits: 1 });
    expect(await request([site], { holder: 'b' })).toMatchObject({ offer: 0, reason: 'probing' });
    await opened.redis.group.exec([lift('site', true)]);
    expect(await request([site], { holder: 'b', want: 5 })).toMatchObject({ offer: 1, probe: '', permits: 5 });
  });

  it('are twice as long after a probe that fared no better', async () => {
    for (const times of [1, 2, 4, 8, 16, 16]) {
      await struck({ after: { limit: 5, period: HOUR } });
      if (times === 1) for (let at = 1; at < 5; at += 1) await struck({ after: { limit: 5, period: HOUR } });
      const { reason, wait } = await request([site]);
      expect(reason).toBe('suspended');
      expect(Math.round(wait / HOUR)).toBe(Math.min(times, 16));
      await end();
      expect((await request([site])).probe).toBe('site');
    }
  });

  it('of a source let the others go on', async () => {
    const [a, b] = ['a', 'b'].map((name) => ({ limits: [limit(`site|${name}`)], scopes: ['site', `site|${name}`] }));
    await struck({ scope: 'site|a' });
    expect((await request([a as Offer, b as Offer])).offer).toBe(2);
  });
});

describe('a lane that was refused', () => {
  const heldFor = async () => {
    const [till, [seconds]] = (await opened.redis.group.exec([
      { name: 'zscore', args: [HELD_BACK, 'lane'] },
      { name: 'time', args: [] },
    ])) as [string | null, [string, string]];
    return till === null ? undefined : Number(till) - Number(seconds) * SECOND;
  };

  it('counts as held back until it has asked again, however long the suspension was to last', async () => {
    await opened.redis.group.exec([suspend('site', FOREVER, 'enough', 'op')]);
    await request([offer(limit('site'))]);
    expect(await heldFor()).toBeGreaterThan(60 * SECOND);
    expect(await heldFor()).toBeLessThan(120 * SECOND);
  });

  it('does not, where it asked for permits in one of several ways', async () => {
    const day = offer(limit('new', rate(1, 24 * HOUR)));
    await request([day]);
    const [reply] = await opened.redis.group.exec([
      ask({ lane: 'lane', holder: 'r#0', want: 1, offers: [day], lease: false, others: true }),
    ]);
    expect(parseAnswer(reply)).toMatchObject({ offer: 0, reason: 'rate' });
    expect(await heldFor()).toBeUndefined();
    await request([day], { permits: true });
    expect(await heldFor()).toBeDefined();
  });
});
