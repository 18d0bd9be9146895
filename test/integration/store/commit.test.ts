import { SmtpError } from '@waypost/mail';
import { PolicyQueue } from '@waypost/queue';
import { type Command, type Executor, RedisRefusedError, RedisUncertainError } from '@waypost/redis';
import { bodyKey } from '@waypost/spool';
import { Committer, EVENT_STREAM, MessageStore, newMessageId, recordKey } from '@waypost/store';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { arrival, type Opened, openedRedis } from '../../support/stores.js';

let opened: Opened;
let store: MessageStore;
const queue = new PolicyQueue(2);
beforeAll(async () => {
  opened = await openedRedis();
  store = new MessageStore(opened.redis.group, 60_000);
});
afterAll(() => opened?.stop());
beforeEach(() => opened.redis.client.flushall());

/** @returns the ids that each policy job carries, of all partitions. */
async function jobs(list: 'wait' | 'delayed' = 'wait'): Promise<string[][]> {
  const { client } = opened.redis;
  const found: string[][] = [];
  for (const partition of queue.partitions) {
    const key = partition.key(list);
    const ids = (await (list === 'wait' ? client.lrange(key, 0, -1) : client.zrange(key, '0', '-1'))) as string[];
    for (const id of ids) {
      const data = (await client.hget(partition.jobKey(id), 'data')) as string;
      found.push((JSON.parse(data) as { ids: string[] }).ids);
    }
  }
  return found;
}

/** Counts transactions that go through. */
function counting(executor: Executor): Executor & { calls: (readonly Command[])[] } {
  const calls: (readonly Command[])[] = [];
  return {
    calls,
    exec: (commands) => {
      calls.push(commands);
      return executor.exec(commands);
    },
  };
}

describe('the commit', () => {
  it('writes record, body, event and job in one transaction', async () => {
    const executor = counting(opened.redis.group);
    const { meta, draft } = arrival(['b@example.org', 'c@example.org']);
    await new Committer(executor, queue).commit(meta, draft);
    expect(executor.calls).toHaveLength(1);
    const { client } = opened.redis;
    expect(await client.get(bodyKey(meta.id))).toBe(draft.inline?.toString());
    expect(await client.hget(recordKey(meta.id), 'open')).toBe('2');
    expect(await client.pttl(recordKey(meta.id))).toBe(-1);
    expect(await jobs()).toEqual([[meta.id]]);
    expect(await client.xlen(EVENT_STREAM)).toBe(1);
    const record = await store.read(meta.id);
    expect(record?.meta).toEqual(meta);
    expect(record?.stage).toBe('accepted');
    expect(record?.recipients.map(({ state }) => state)).toEqual(['accepted', 'accepted']);
    expect(record?.events).toEqual([expect.objectContaining({ type: 'Reception', id: meta.id, at: meta.receivedAt })]);
  });

  it('of messages that arrive together is one transaction and one policy job in 32', async () => {
    const executor = counting(opened.redis.group);
    const hooks = { messages: [] as number[], received: [] as string[] };
    const committer = new Committer(executor, queue, {
      onCommit: (messages) => hooks.messages.push(messages),
      onReception: ({ id }) => hooks.received.push(id),
    });
    const arrivals = Array.from({ length: 70 }, () => arrival());
    await Promise.all(arrivals.map(({ meta, draft }) => committer.commit(meta, draft)));
    const ids = arrivals.map(({ meta }) => meta.id);
    expect(executor.calls).toHaveLength(1);
    expect(hooks).toEqual({ messages: [70], received: ids });
    const carried = await jobs();
    expect(carried.map(({ length }) => length).sort()).toEqual([32, 32, 6]);
    expect(carried.flat().sort()).toEqual([...ids].sort());
  });

  it('of a scheduled message starts no earlier', async () => {
    const scheduledAt = Date.now() + 3_600_000;
    const { meta, draft } = arrival(['b@example.org'], { scheduledAt });
    await new Committer(opened.redis.group, queue).commit(meta, draft);
    expect(await jobs()).toEqual([]);
    expect(await jobs('delayed')).toEqual([[meta.id]]);
    const record = await store.read(meta.id);
    expect(record?.stage).toBe('scheduled');
    expect(record?.recipients[0]?.state).toBe('scheduled');
  });

  it('that Redis refuses leaves nothing, and tells why in SMTP', async () => {
    const { client, memory } = opened.redis;
    const { used } = await memory();
    await client.config('SET', 'maxmemory', used - 1);
    const { meta, draft } = arrival();
    const failure = await new Committer(opened.redis.group, queue).commit(meta, draft).catch((error: unknown) => error);
    await client.config('SET', 'maxmemory', 0);
    expect(failure).toBeInstanceOf(SmtpError);
    expect((failure as SmtpError).reply).toMatchObject({ code: 452, enhanced: '4.3.1' });
    expect((failure as SmtpError).cause).toBeInstanceOf(RedisRefusedError);
    expect(await client.dbsize()).toBe(0);
  });

  it('that may or may not have happened is a 451', async () => {
    const executor: Executor = { exec: () => Promise.reject(new RedisUncertainError('broken')) };
    const { meta, draft } = arrival();
    const failure = await new Committer(executor, queue).commit(meta, draft).catch((error: unknown) => error);
    expect((failure as SmtpError).reply).toMatchObject({ code: 451, enhanced: '4.3.0' });
  });

  it('after one that failed works again', async () => {
    let fail = true;
    const executor: Executor = {
      exec: (commands) => (fail ? Promise.reject(new Error('no')) : opened.redis.group.exec(commands)),
    };
    const committer = new Committer(executor, queue);
    const [one, two] = [arrival(), arrival()];
    await expect(committer.commit(one.meta, one.draft)).rejects.toBeInstanceOf(SmtpError);
    fail = false;
    await committer.commit(two.meta, two.draft);
    expect(await store.read(one.meta.id)).toBeUndefined();
    expect(await store.read(two.meta.id)).toBeDefined();
  });
});

describe('message ids', () => {
  it('are UUIDv7 of their time, all different, and sort by time', () => {
    const time = fc.nat({ max: 2 ** 48 - 2 });
    fc.assert(
      fc.property(time, (now) => {
        const [one, same, later] = [newMessageId(now), newMessageId(now), newMessageId(now + 1)];
        for (const id of [one, same, later]) {
          expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
        }
        expect(Number.parseInt(one.replaceAll('-', '').slice(0, 12), 16)).toBe(now);
        expect(one).not.toBe(same);
        expect(one < later && same < later).toBe(true);
      }),
    );
  });
});
