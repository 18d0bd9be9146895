import { type Config, loadConfig } from '@waypost/config';
import { Expirer, Reconciler } from '@waypost/events';
import type { MessageMeta } from '@waypost/mail';
import { addToLanes, laneQueue, PolicyQueue } from '@waypost/queue';
import { createMetrics, noTracer, silentLogger } from '@waypost/runtime';
import { createBlobStore, Spool } from '@waypost/spool';
import { Committer, MessageStore, messageTime, newMessageId } from '@waypost/store';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { laneJob } from '../../support/lanes.js';
import { arrival, type Opened, openedRedis } from '../../support/stores.js';

const HOUR = 3_600_000;
const LANE = 'smtp:host:25';
const queue = new PolicyQueue(1);
let opened: Opened;
let store: MessageStore;
let committer: Committer;
let reconciler: Reconciler;

beforeAll(async () => {
  opened = await openedRedis();
  const { group } = opened.redis;
  const config: Config = loadConfig({
    text: JSON.stringify({
      server: { hostname: 'relay.test' },
      delivery: { max_age: '2h' },
      shaping: [{ match: 'host', max_age: '1h' }],
    }),
  });
  const blobs = await createBlobStore({ ...config.spool, blobs: 'redis' }, group);
  const runtime = { log: silentLogger, metrics: createMetrics(), tracer: noTracer };
  const spool = new Spool(group, blobs, { inlineMax: 65_536, cache: 0 });
  store = new MessageStore(group, HOUR);
  committer = new Committer(group, queue);
  const common = { runtime, executor: group, store };
  const expirer = new Expirer({ ...common, config: () => config, spool, committer });
  reconciler = new Reconciler({ ...common, queue, blobs, expirer });
});
afterAll(() => opened?.stop());
beforeEach(() => opened.redis.client.flushall());

/** Commits a message that came in `age` ms ago. */
async function commit(age: number, more: Partial<MessageMeta> = {}): Promise<MessageMeta> {
  const receivedAt = Date.now() - age;
  const id = newMessageId(receivedAt);
  const { meta, draft } = arrival(['b@example.org'], { receivedAt, ...more, id });
  await committer.commit(meta, { ...draft, id });
  return meta;
}

async function route(id: string, lane = LANE): Promise<void> {
  const jobs = [{ first: 0, lane }];
  await opened.redis.group.exec([
    ...addToLanes([laneJob(id, lane)]),
    ...store.transition({ id, outcomes: [], events: [], jobs, stage: 'routed' }),
  ]);
}

const hold = (id: string) =>
  opened.redis.group.exec(
    store.transition({ id, outcomes: [{ i: 0, status: { state: 'held', at: 1 } }], events: [], stage: 'held' }),
  );
const stateOf = async (id: string) => (await store.read(id))?.recipients[0];
/** DSNs to the sender that are on their way. */
async function notices(): Promise<string[]> {
  const keys = await opened.redis.client.keys('wp:{*}:m');
  const records = await store.readMany(keys.map((key) => key.slice(4, -3)));
  return records.flatMap((one) => (one?.meta.origin.listener === 'dsn' ? [one.meta.subject ?? ''] : []));
}

it('an id tells when its message came', () => {
  expect(messageTime(newMessageId(1_790_000_000_123))).toBe(1_790_000_000_123);
});

describe('what has waited for too long ends, and its sender is told', () => {
  it('while it is held', async () => {
    const [old, young] = [await commit(3 * HOUR), await commit(1.5 * HOUR)];
    for (const { id } of [old, young]) await hold(id);
    await reconciler.pass();
    expect(await stateOf(old.id)).toMatchObject({ state: 'expired', reply: { code: 550, enhanced: '4.4.7' } });
    expect((await store.read(old.id))?.stage).toBe('done');
    expect((await stateOf(young.id))?.state).toBe('held');
    expect(await notices()).toEqual([`DSN for ${old.id}`]);
    await reconciler.pass();
    expect(await notices()).toHaveLength(1);
  });

  it('before policy has come to it; a scheduled one only once its time has passed for so long', async () => {
    const old = await commit(3 * HOUR);
    const later = await commit(9 * HOUR, { scheduledAt: Date.now() + HOUR });
    const due = await commit(9 * HOUR, { scheduledAt: Date.now() - 3 * HOUR });
    await reconciler.pass();
    expect((await stateOf(old.id))?.state).toBe('expired');
    expect((await stateOf(later.id))?.state).toBe('scheduled');
    expect((await stateOf(due.id))?.state).toBe('expired');
  });

  it('in a lane that does not come to it, by the age of that lane', async () => {
    const other = 'smtp:other:25';
    const [old, young, elsewhere] = [await commit(1.5 * HOUR), await commit(HOUR / 2), await commit(1.5 * HOUR)];
    await route(old.id);
    await route(young.id);
    await route(elsewhere.id, other);
    await reconciler.pass();
    expect(await stateOf(old.id)).toMatchObject({ state: 'expired', lane: LANE });
    expect((await stateOf(young.id))?.state).toBe('queued');
    expect((await stateOf(elsewhere.id))?.state).toBe('queued');
    expect(await opened.redis.client.exists(laneQueue(LANE).jobKey(`${old.id}.0`))).toBe(0);
    expect(await opened.redis.client.exists(laneQueue(LANE).jobKey(`${young.id}.0`))).toBe(1);
    expect(await notices()).toEqual([`DSN for ${old.id}`]);
  });
});

describe('what has waited for too long', () => {
  it('is left alone while it is being sent', async () => {
    const { id } = await commit(3 * HOUR);
    await route(id);
    const [taken] = await opened.redis.group.exec([laneQueue(LANE).take('somebody#1')]);
    expect(taken).toBeTruthy();
    await reconciler.pass();
    expect((await stateOf(id))?.state).toBe('queued');
  });

  it('says nothing to the sender of mail from outside, who may be forged', async () => {
    const origin = { kind: 'mx', listener: 'inbound', protocol: 'ESMTP' } as const;
    const { id } = await commit(3 * HOUR, { origin });
    await hold(id);
    await reconciler.pass();
    expect((await stateOf(id))?.state).toBe('expired');
    expect(await notices()).toEqual([]);
  });
});
