import { HOLD, SLOWED, WINDOW } from '@waypost/queue';
import { openRedis, type RedisHandle } from '@waypost/redis';
import { waitFor } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { redisConfig } from '../../support/redis-servers.js';
import { mostWithin, type Sites, startSites } from '../../support/sites.js';

const SECOND = 1000;
const BURST = 4;
const WIDE = 8;
const ROOM = 3;
const SLOW_RATE = 5;

let sites: Sites;
let opened: RedisHandle;
beforeAll(async () => {
  const replies = (text: string, more: Record<string, unknown>) => [{ text, scope: 'site', for: '1m', ...more }];
  sites = await startSites({
    hosts: {
      'mx.angry.said.test': '127.0.6.1',
      'mx.dead.said.test': '127.0.6.2',
      'mx.busy.test': '127.0.6.3',
      'mx.picky.test': '127.0.6.4',
      'mx.slow.test': '127.0.6.5',
    },
    domains: {
      'angry.test': ['mx.angry.said.test'],
      'dead.test': ['mx.dead.said.test'],
      'busy.test': ['mx.busy.test'],
      'picky.test': ['mx.picky.test'],
      'slow.test': ['mx.slow.test'],
    },
    config: {
      shaping: [
        {
          mx: '*.said.test',
          site_connections: 3,
          replies: replies('slow down|ECONNREFUSED', { action: 'suspend', for: '1s' }),
        },
        { mx: 'mx.busy.test', site_connections: WIDE },
        { mx: 'mx.picky.test', replies: replies('reputation', { action: 'reroute' }) },
        {
          mx: 'mx.slow.test',
          site_connections: 1,
          replies: replies('easy', { action: 'slow', rate: `${SLOW_RATE}/s` }),
        },
      ],
      egress: {
        sources: ['bad', 'good'].map((name) => ({ name, ehlo: `${name}.out.test` })),
        pools: [{ name: 'both', sources: [{ source: 'bad', weight: 1000 }, { source: 'good' }] }],
      },
      routes: [
        { match: 'picky.test', to: 'mx', pool: 'both' },
        { match: '*', to: 'mx' },
      ],
    },
  });
  opened = await openRedis(redisConfig({ url: sites.redis.url }));
});
afterAll(async () => {
  await opened?.close();
  await sites?.stop();
});

const later = (milliseconds: number) =>
  new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), milliseconds));

describe('a site that says it has had enough', () => {
  const key = `${HOLD}site:mx:mx.angry.said.test`;
  const hold = async () => {
    const { since, till, doubled = '0' } = await opened.client.hgetall(key);
    return since ? { since: Number(since), till: Number(till), doubled: Number(doubled) } : undefined;
  };

  it('gets nothing for a while, then one message as a probe, and all when that went well', async () => {
    const host = sites.host('mx.angry.said.test');
    host.answer = (phase) => (phase === 'mail' ? '450 4.7.1 slow down' : undefined);
    await sites.load(['angry.test'], 30);
    const first = await waitFor('the suspension', hold);
    await waitFor('the sessions to end', () => host.peer.open === 0);
    const asked = host.asked.length;
    // Sessions that were under way had a message in hand each.
    expect(asked).toBeLessThanOrEqual(2 * 3);

    const second = await waitFor('the probe to fail', async () => {
      const found = await hold();
      return found && found.doubled > 0 && found;
    });
    expect(second.till - second.since).toBe(2 * (first.till - first.since));
    expect(host.asked.length).toBe(asked + 1);
    expect(host.asked.at(-1)).toBeGreaterThanOrEqual(first.till);

    host.answer = () => undefined;
    await sites.arrived(['mx.angry.said.test'], 30);
    expect(host.asked[asked + 1]).toBeGreaterThanOrEqual(second.till);
    expect(await hold()).toBeUndefined();
  });

  it('is told from our own words for what went wrong', async () => {
    await sites.host('mx.dead.said.test').peer.stop();
    await sites.load(['dead.test'], 1);
    const failures = () =>
      sites.deliveries
        .flatMap(({ log }) => log)
        .filter(({ msg, lane }) => msg === 'TransientFailure' && lane === 'mx:mx.dead.said.test');
    await waitFor('two attempts', () => failures().length >= 2);
    expect(JSON.stringify(failures())).toContain('ECONNREFUSED');
    expect(await opened.client.exists(`${HOLD}site:mx:mx.dead.said.test`)).toBe(0);
  });
});

describe('a site that takes fewer connections than it may have', () => {
  it('gets fewer, and as many as before once it takes them again', async () => {
    const key = `${WINDOW}site:mx:mx.busy.test`;
    const host = sites.host('mx.busy.test');
    host.answer = (phase) => {
      if (phase === 'greeting' && host.peer.open > ROOM) return '421 4.7.0 too many connections';
      return phase === 'dot' ? later(50) : undefined;
    };
    await sites.load(['busy.test'], 150);
    await waitFor('the window to shrink', async () => Number((await opened.client.get(key)) ?? WIDE) <= ROOM + 1);
    await sites.arrived(['mx.busy.test'], 150);
    expect(host.most).toBeLessThanOrEqual(ROOM);

    host.answer = (phase) => (phase === 'dot' ? later(50) : undefined);
    let total = 150;
    await waitFor('the window to be open', async () => {
      await sites.load(['busy.test'], 100);
      total += 100;
      await sites.arrived(['mx.busy.test'], total);
      return (await opened.client.exists(key)) === 0;
    });
    expect(host.most).toBeLessThanOrEqual(WIDE);
    expect(host.most).toBeGreaterThan(ROOM);
  });
});

describe('a site that refuses one source', () => {
  it('is served by the other', async () => {
    const host = sites.host('mx.picky.test');
    host.answer = (phase, source) =>
      phase === 'mail' && source === 'bad.out.test' ? '450 4.7.1 your reputation is low' : undefined;
    await sites.load(['picky.test'], 30);
    await sites.arrived(['mx.picky.test'], 30);
    expect(host.bySource).toEqual({ 'good.out.test': 30 });
    expect(await opened.client.hget(`${HOLD}site:mx:mx.picky.test|bad`, 'reason')).toContain('reputation');
    expect(await opened.client.exists(`${HOLD}site:mx:mx.picky.test|good`)).toBe(0);
  });
});

describe('a site that asks for less', () => {
  it('gets it from its sessions under way, too', async () => {
    const host = sites.host('mx.slow.test');
    let polite = false;
    host.answer = (phase) => {
      if (phase === 'mail' && host.taken.length >= 10 && !polite) {
        polite = true;
        return '450 4.7.1 easy now';
      }
      return phase === 'dot' ? later(20) : undefined;
    };
    await sites.load(['slow.test'], 40);
    await waitFor('the site to be slowed', () => opened.client.hexists(SLOWED, 'site:mx:mx.slow.test'));
    const since = performance.now();
    await sites.arrived(['mx.slow.test'], 40);
    const after = host.taken.filter((at) => at > since);
    expect(after.length).toBeGreaterThan(2 * SLOW_RATE);
    expect(mostWithin(SECOND, after)).toBeLessThanOrEqual(SLOW_RATE + BURST);
  });
});
