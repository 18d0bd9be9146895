import { mkdtempSync, rmSync, utimesSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Reconciler } from '@waypost/events';
import type { MessageMeta } from '@waypost/mail';
import { addToLanes, laneQueue, PolicyQueue } from '@waypost/queue';
import { createMetrics, noTracer, silentLogger } from '@waypost/runtime';
import { FsBlobStore } from '@waypost/spool';
import { Committer, MessageStore, newMessageId, recordKey } from '@waypost/store';
import { waitFor } from '@waypost/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { laneJob, scheduler } from '../../support/lanes.js';
import { arrival, type Opened, openedRedis } from '../../support/stores.js';

const LANE = 'smtp:host:25';
const HOUR = 3_600_000;
const NOTHING = { lane: 0, stalled: 0, message: 0, blob: 0 };
const queue = new PolicyQueue(2);
const metrics = createMetrics();
let opened: Opened;
let store: MessageStore;
let committer: Committer;
let blobs: FsBlobStore;
let reconciler: Reconciler;
let dir: string;

beforeAll(async () => {
  opened = await openedRedis();
  dir = mkdtempSync(join(tmpdir(), 'waypost-reconciler-'));
  const { group } = opened.redis;
  store = new MessageStore(group, HOUR);
  committer = new Committer(group, queue);
  blobs = await new FsBlobStore(dir).init();
  const runtime = { log: silentLogger, metrics, tracer: noTracer };
  reconciler = new Reconciler({ runtime, executor: group, store, queue, blobs });
});
afterAll(async () => {
  await opened?.stop();
  rmSync(dir, { recursive: true, force: true });
});
beforeEach(() => opened.redis.client.flushall());
afterEach(() => metrics.reconcilerRepairs.reset());

/** Commits a message that came in `age` ms ago. */
async function commit(age = HOUR, more: Partial<MessageMeta> = {}): Promise<MessageMeta> {
  const { meta, draft } = arrival(['b@example.org', 'c@example.org'], { receivedAt: Date.now() - age, ...more });
  await committer.commit(meta, draft);
  return meta;
}

/** Hands a message to a lane, as policy does. */
async function route(id: string, lane = LANE): Promise<void> {
  await opened.redis.group.exec([
    ...addToLanes([laneJob(id, lane)]),
    ...store.transition({
      id,
      outcomes: [],
      events: [{ type: 'Queued', id, at: Date.now(), detail: lane }],
      jobs: [{ first: 0, lane }],
      stage: 'routed',
    }),
  ]);
  await removePolicyJobs();
}

async function removePolicyJobs(): Promise<void> {
  const keys = (await opened.redis.client.keys('wp:q:*')) as string[];
  if (keys.length > 0) await opened.redis.client.del(...keys);
}

async function removeLane(lane = LANE): Promise<void> {
  const keys = (await opened.redis.client.keys(`wp:lane:{${lane.replaceAll(':', '/')}}:*`)) as string[];
  expect(keys).not.toEqual([]);
  await opened.redis.client.del(...keys);
  await opened.redis.client.zrem('wp:lanes:due', lane);
}

/** @returns the ids of messages that have a policy job that may run now. */
async function judged(): Promise<string[]> {
  const ids: string[] = [];
  for (const partition of queue.partitions) {
    for (const job of (await opened.redis.client.lrange(partition.key('wait'), 0, -1)) as string[]) {
      const data = (await opened.redis.client.hget(partition.jobKey(job), 'data')) as string;
      ids.push(...(JSON.parse(data) as { ids: string[] }).ids);
    }
  }
  return ids.sort();
}

async function counted(kind: string): Promise<number> {
  const { values } = await metrics.reconcilerRepairs.get();
  return values.find(({ labels }) => labels.kind === kind)?.value ?? 0;
}

describe('the reconciler finds nothing to mend', () => {
  it('where nothing is', async () => expect(await reconciler.pass()).toEqual(NOTHING));

  it('of messages that wait for policy, are in a lane, held, scheduled or over', async () => {
    await commit();
    await commit(HOUR, { scheduledAt: Date.now() + HOUR });
    const [held, done, canceled] = [await commit(), await commit(), await commit()];
    const { group } = opened.redis;
    await group.exec(store.transition({ id: held.id, outcomes: [], events: [], stage: 'held' }));
    const outcomes = [0, 1].map((i) => ({ i, status: { state: 'delivered' as const, at: Date.now() } }));
    await group.exec(store.transition({ id: done.id, outcomes, events: [] }));
    await store.cancel(canceled.id);
    expect(await reconciler.pass()).toEqual(NOTHING);
    const routed = await commit();
    await route(routed.id);
    await group.exec(store.transition({ id: routed.id, outcomes: [], events: [], stage: 'routed' }));
    expect((await reconciler.pass()).lane).toBe(0);
    expect((await store.read(routed.id))?.stage).toBe('routed');
  });

  it('of a message so young that it may be on its way', async () => {
    await commit(1000);
    await removePolicyJobs();
    expect(await reconciler.pass()).toEqual(NOTHING);
  });
});

describe('the reconciler mends', () => {
  it.each(['accepted', 'scheduled'])('a message that is %s and has no policy job', async (stage) => {
    const meta = await commit(2 * HOUR, stage === 'scheduled' ? { scheduledAt: Date.now() - HOUR } : {});
    const lost = await commit();
    await removePolicyJobs();
    expect(await reconciler.pass()).toEqual({ ...NOTHING, message: 2 });
    expect(await judged()).toEqual([meta.id, lost.id].sort());
    expect(await counted('message')).toBe(2);
    expect(await reconciler.pass()).toEqual(NOTHING);
    expect(await counted('message')).toBe(2);
  });

  it('a message whose lane job is gone: it goes through policy again', async () => {
    const [lost, kept] = [await commit(), await commit()];
    await route(lost.id, 'mx:lost.test');
    await route(kept.id);
    await removeLane('mx:lost.test');
    expect(await reconciler.pass()).toEqual({ ...NOTHING, message: 1 });
    expect(await judged()).toEqual([lost.id]);
    expect((await store.read(lost.id))?.stage).toBe('accepted');
    expect((await store.read(kept.id))?.stage).toBe('routed');
    expect(await reconciler.pass()).toEqual(NOTHING);
  });

  it('nothing of a message that ends while it looks', async () => {
    const { id } = await commit();
    await route(id);
    await removeLane();
    const { group } = opened.redis;
    let ended = false;
    const racing = new Reconciler({
      runtime: { log: silentLogger, metrics, tracer: noTracer },
      executor: {
        exec: async (commands) => {
          const replies = await group.exec(commands);
          if (!ended && commands.some(({ name }) => name === 'waypostSuspects')) {
            ended = true;
            await group.exec(
              store.transition({
                id,
                outcomes: [0, 1].map((i) => ({ i, status: { state: 'delivered', at: 1 } })),
                events: [],
              }),
            );
          }
          return replies;
        },
      },
      store,
      queue,
      blobs,
    });
    expect(await racing.pass()).toEqual(NOTHING);
    expect(ended).toBe(true);
    expect(await judged()).toEqual([]);
  });

  it('a lane that nobody is told of: it is served again', async () => {
    const { id } = await commit();
    await route(id);
    await opened.redis.client.del('wp:lanes:due');
    const outcomes = [0, 1].map((i) => ({ i, status: { state: 'delivered' as const, at: Date.now() } }));
    const attempt = async () => ({ outcomes });
    const one = scheduler({ redis: await opened.another(), replica: 'r', ledger: store, attempt });
    await one.scheduler.start();
    try {
      expect(await reconciler.pass()).toEqual({ ...NOTHING, lane: 1 });
      await waitFor('the job', () => one.attempted.includes(id));
    } finally {
      await one.scheduler.drain(5000);
    }
    expect((await store.read(id))?.stage).toBe('done');
    expect(await counted('lane')).toBe(1);
  });

  it('a job whose holder let the lock lapse', async () => {
    const { id } = await commit();
    await route(id);
    const lane = laneQueue(LANE);
    await opened.redis.group.exec([lane.take('gone')]);
    await opened.redis.client.del(`${lane.jobKey(`${id}.0`)}:lock`);
    // The first look notes that nobody holds it, the second is sure.
    await reconciler.pass();
    await waitFor('a later look', async () => (await reconciler.pass()).stalled === 1);
    expect(await opened.redis.client.llen(lane.key('wait'))).toBe(1);
    expect(await counted('stalled')).toBe(1);
  });

  it('bodies without a message, once they are a day old; no others', async () => {
    const [orphan, young, wanted, ended] = [newMessageId(), newMessageId(), await commit(), await commit()];
    for (const id of [orphan, young, wanted.id, ended.id]) await blobs.put(id, body());
    await store.cancel(ended.id);
    const yesterday = new Date(Date.now() - 25 * HOUR);
    const files = await readdir(dir, { recursive: true, withFileTypes: true });
    for (const file of files) {
      if (file.isFile() && !file.name.includes(young))
        utimesSync(join(file.parentPath, file.name), yesterday, yesterday);
    }
    expect(await reconciler.pass()).toEqual({ ...NOTHING, blob: 2 });
    await expect(blobs.get(orphan)).rejects.toThrow('not in the spool');
    await expect(blobs.get(ended.id)).rejects.toThrow('not in the spool');
    for (const id of [young, wanted.id]) (await blobs.get(id)).destroy();
    expect(await counted('blob')).toBe(2);
    expect(await opened.redis.client.exists(recordKey(wanted.id))).toBe(1);
  });
});

async function* body(): AsyncGenerator<Buffer> {
  yield Buffer.from('Subject: x\r\n\r\nx\r\n');
}
