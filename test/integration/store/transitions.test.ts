import type { BodyRef, LaneJob, MessageEvent, RecipientState, RecipientStatus } from '@waypost/mail';
import { isTerminal } from '@waypost/mail';
import { PolicyQueue } from '@waypost/queue';
import { bodyKey } from '@waypost/spool';
import { Committer, EVENT_STREAM, MessageStore, recordKey } from '@waypost/store';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { arrival, type Opened, openedRedis } from '../../support/stores.js';

const RETENTION = 60_000;
let opened: Opened;
let store: MessageStore;
let committer: Committer;
const ended: [string, BodyRef][] = [];
beforeAll(async () => {
  opened = await openedRedis();
  store = new MessageStore(opened.redis.group, RETENTION, (id, ref) => ended.push([id, ref]));
  committer = new Committer(opened.redis.group, new PolicyQueue(1));
});
afterAll(() => opened?.stop());
beforeEach(async () => {
  await opened.redis.client.flushall();
  ended.length = 0;
});

const status = (state: RecipientState, at = Date.now()): RecipientStatus => ({ state, at });
const event = (id: string, type: MessageEvent['type'], at = Date.now()): MessageEvent => ({ type, id, at });

async function commit(recipients: readonly string[] = ['b@example.org'], meta = {}) {
  const one = arrival(recipients, meta);
  await committer.commit(one.meta, one.draft);
  return one.meta;
}

async function apply(...transition: Parameters<MessageStore['transition']>): Promise<unknown[]> {
  return opened.redis.group.exec(store.transition(...transition));
}

async function read(id: string) {
  const record = await store.read(id);
  if (!record) throw new Error(`there is no record of ${id}`);
  return { stage: record.stage, states: record.recipients.map(({ state }) => state), events: record.events };
}

async function published(): Promise<string[]> {
  const entries = await opened.redis.client.xrange(EVENT_STREAM, '-', '+');
  return (entries as [string, string[]][]).flatMap(([, fields]) =>
    fields.filter((_, at) => at % 2 === 1).map((text) => (JSON.parse(text) as MessageEvent).type),
  );
}

describe('states', () => {
  it('a recipient nothing was written of is what the stage says', async () => {
    const { id } = await commit(['b@x.test', 'c@x.test']);
    expect((await read(id)).states).toEqual(['accepted', 'accepted']);
    await apply({ id, stage: 'routed', outcomes: [{ i: 0, status: status('deferred') }], events: [] });
    expect((await read(id)).states).toEqual(['deferred', 'queued']);
  });

  it('of some recipients terminal leave body and record; of the last one they end it', async () => {
    const { id } = await commit(['b@x.test', 'c@x.test']);
    const { client } = opened.redis;
    await apply({ id, stage: 'routed', outcomes: [{ i: 1, status: status('delivered') }], events: [] });
    expect(await read(id)).toMatchObject({ stage: 'routed', states: ['queued', 'delivered'] });
    expect(await client.exists(bodyKey(id))).toBe(1);
    expect(await client.pttl(recordKey(id))).toBe(-1);
    await apply({ id, outcomes: [{ i: 0, status: status('bounced') }], events: [] });
    expect(await read(id)).toMatchObject({ stage: 'done', states: ['bounced', 'delivered'] });
    expect(await client.exists(bodyKey(id))).toBe(0);
    const left = await client.pttl(recordKey(id));
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(RETENTION);
  });

  it('settled twice change nothing the second time', async () => {
    const { id } = await commit();
    const commands = store.transition({
      id,
      outcomes: [{ i: 0, status: status('delivered') }],
      events: [event(id, 'Delivery')],
    });
    await opened.redis.group.exec(commands);
    const { client } = opened.redis;
    const before = await client.hgetall(recordKey(id));
    await client.persist(recordKey(id));
    await opened.redis.group.exec(commands);
    expect(await client.hgetall(recordKey(id))).toEqual(before);
    // Its time to live counts from its end, not from the repetition.
    expect(await client.pttl(recordKey(id))).toBe(-1);
    expect((await read(id)).events.map(({ type }) => type)).toEqual(['Reception', 'Delivery']);
    // The stream has each event at least once.
    expect(await published()).toEqual(['Reception', 'Delivery', 'Delivery']);
  });

  it('a terminal one is final, whatever comes late', async () => {
    const { id } = await commit();
    await apply({ id, outcomes: [{ i: 0, status: status('delivered') }], events: [] });
    const late: RecipientState[] = ['bounced', 'deferred', 'expired', 'held'];
    for (const state of late)
      await apply({ id, stage: 'routed', outcomes: [{ i: 0, status: status(state) }], events: [] });
    expect(await read(id)).toMatchObject({ stage: 'done', states: ['delivered'] });
  });

  it('of a message there is no record of leave none', async () => {
    const [open] = await apply({
      id: 'gone',
      stage: 'routed',
      outcomes: [{ i: 0, status: status('delivered') }],
      events: [],
    });
    expect(open).toBe(-1);
    expect(await opened.redis.client.exists(recordKey('gone'))).toBe(0);
  });

  it('whatever order they come in: the first terminal state stays, and "open" counts the others', async () => {
    const states: RecipientState[] = ['held', 'queued', 'deferred', 'delivered', 'bounced', 'expired', 'rejected'];
    const step = fc.record({
      stage: fc.constantFrom(undefined, 'routed', 'accepted', 'held'),
      outcomes: fc.array(fc.tuple(fc.nat(3), fc.constantFrom(...states)), { maxLength: 4 }),
      repeat: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const { id } = await commit(['0@x.test', '1@x.test', '2@x.test', '3@x.test']);
        const model: (RecipientState | undefined)[] = [undefined, undefined, undefined, undefined];
        for (const { stage, outcomes, repeat } of steps) {
          const transition = {
            id,
            outcomes: outcomes.map(([i, state]) => ({ i, status: status(state) })),
            events: [],
            ...(stage ? { stage: stage as 'routed' } : {}),
          };
          for (let at = 0; at < (repeat ? 2 : 1); at += 1) await apply(transition);
          for (let at = 0; at < (repeat ? 2 : 1); at += 1) {
            for (const [i, state] of outcomes) {
              const before = model[i];
              if (!before || !isTerminal(before)) model[i] = state;
            }
          }
        }
        const open = model.filter((state) => !state || !isTerminal(state)).length;
        expect(await opened.redis.client.hget(recordKey(id), 'open')).toBe(String(open));
        const record = await read(id);
        expect(record.stage === 'done').toBe(open === 0);
        model.forEach((state, i) => {
          if (state) expect(record.states[i]).toBe(state);
        });
      }),
      { numRuns: 60 },
    );
  });
});

describe('events', () => {
  it('read in the order they happened, those of one millisecond too', async () => {
    const at = Date.now();
    const { id } = await commit(['b@x.test'], { receivedAt: at });
    const types = ['Queued', 'TransientFailure', 'DelayNotice', 'TransientFailure', 'Delivery'] as const;
    for (const [serial, type] of types.entries()) {
      await apply({ id, outcomes: [], events: [{ ...event(id, type, at), detail: String(serial) }] });
    }
    const { events } = await read(id);
    expect(events.map(({ type }) => type)).toEqual(['Reception', ...types]);
    expect(events.slice(1).map(({ detail }) => detail)).toEqual(['0', '1', '2', '3', '4']);
  });

  it('go into the stream as one entry a transition', async () => {
    const { id } = await commit();
    await apply({ id, outcomes: [], events: [event(id, 'Queued'), event(id, 'Delivery')] });
    expect(await published()).toEqual(['Reception', 'Queued', 'Delivery']);
    expect(await opened.redis.client.xlen(EVENT_STREAM)).toBe(2);
  });
});

describe('cancel', () => {
  it.each(['accepted', 'scheduled', 'held'] as const)('ends a message that is %s', async (stage) => {
    const meta = await commit(['b@x.test', 'c@x.test'], stage === 'scheduled' ? { scheduledAt: Date.now() + 1e6 } : {});
    const { id } = meta;
    if (stage === 'held') await apply({ id, stage, outcomes: [{ i: 0, status: status('rejected') }], events: [] });
    expect(await store.cancel(id)).toBe('canceled');
    const record = await read(id);
    expect(record.stage).toBe('canceled');
    expect(record.states).toEqual([stage === 'held' ? 'rejected' : 'canceled', 'canceled']);
    expect(record.events.at(-1)?.type).toBe('Cancellation');
    expect((await published()).at(-1)).toBe('Cancellation');
    expect(await opened.redis.client.exists(bodyKey(id))).toBe(0);
    expect(await opened.redis.client.pttl(recordKey(id))).toBeGreaterThan(0);
    // Where the body is a blob, it is this that removes it.
    expect(ended).toEqual([[id, meta.body]]);
  });

  it('is too late for one that is routed, done or canceled, and changes nothing', async () => {
    for (const end of ['routed', 'done', 'canceled'] as const) {
      const { id } = await commit();
      if (end === 'routed') await apply({ id, stage: 'routed', outcomes: [], events: [] });
      if (end === 'done') await apply({ id, outcomes: [{ i: 0, status: status('delivered') }], events: [] });
      if (end === 'canceled') await store.cancel(id);
      const before = await opened.redis.client.hgetall(recordKey(id));
      expect(await store.cancel(id)).toBe('too_late');
      expect(await opened.redis.client.hgetall(recordKey(id))).toEqual(before);
    }
    expect(await store.cancel('nothing')).toBe('unknown');
  });

  it('and policy in a race: one of them wins, and both tell the same', async () => {
    for (let round = 0; round < 30; round += 1) {
      const { id } = await commit();
      const other = round % 2 === 0 ? opened.redis : await opened.another();
      const route = () =>
        other.group.exec(store.transition({ id, stage: 'routed', outcomes: [], events: [event(id, 'Queued')] }));
      const [answer] =
        round % 3 === 0
          ? await Promise.all([store.cancel(id), route()])
          : (await Promise.all([route(), store.cancel(id)])).reverse();
      const record = await read(id);
      if (answer === 'canceled') expect(record).toMatchObject({ stage: 'canceled', states: ['canceled'] });
      else expect(record).toMatchObject({ stage: 'routed', states: ['queued'] });
      // What a lane asks before DATA.
      const job = { id, rcpts: [{ i: 0, to: 'b@x.test' }] } as unknown as LaneJob;
      const [progress] = await opened.redis.group.exec([store.progress(job)]);
      expect(store.open(job, progress)).toEqual({ open: answer === 'canceled' ? [] : [0] });
    }
  });

  it('twice at once is done once', async () => {
    const { id } = await commit();
    const answers = await Promise.all([store.cancel(id), store.cancel(id), store.cancel(id)]);
    expect(answers.sort()).toEqual(['canceled', 'too_late', 'too_late']);
    expect((await published()).filter((type) => type === 'Cancellation')).toHaveLength(1);
  });
});

describe('as the ledger of lanes', () => {
  const job = (id: string, ...to: number[]) =>
    ({ id, ref: { at: 'fs', size: 5 }, rcpts: to.map((i) => ({ i, to: `${i}@x.test` })) }) as unknown as LaneJob;

  it('tells which recipients of a job are open', async () => {
    const { id } = await commit(['0@x.test', '1@x.test', '2@x.test']);
    await apply({ id, stage: 'routed', outcomes: [{ i: 1, status: status('delivered') }], events: [] });
    const [progress] = await opened.redis.group.exec([store.progress(job(id, 0, 1))]);
    expect(store.open(job(id, 0, 1), progress)).toEqual({ open: [0] });
    const [none] = await opened.redis.group.exec([store.progress(job('gone', 0))]);
    expect(store.open(job('gone', 0), none)).toEqual({ open: [] });
  });

  it('tells when those that are open were tried last', async () => {
    const { id } = await commit(['0@x.test', '1@x.test']);
    const outcomes = [0, 1].map((i) => ({ i, status: status(i === 0 ? 'deferred' : 'delivered', 1000 + i) }));
    await apply({ id, stage: 'routed', outcomes, events: [] });
    const [progress] = await opened.redis.group.exec([store.progress(job(id, 0, 1))]);
    expect(store.open(job(id, 0, 1), progress)).toEqual({ open: [0], lastAttemptAt: 1000 });
  });

  it('notes which lane a job is in, which only its holder may change, and forgets it when policy is to route anew', async () => {
    const { id } = await commit();
    const lane = async () => opened.redis.client.hget(recordKey(id), 'j0');
    await apply({ id, stage: 'routed', outcomes: [], events: [], jobs: [{ first: 0, lane: 'mx:x' }] });
    await opened.redis.group.exec(store.settle(job(id, 0), { outcomes: [], events: [], notOurs: true }));
    expect(await lane()).toBe('mx:x');
    await apply({ id, stage: 'accepted', outcomes: [], events: [] });
    expect(await lane()).toBeNull();
  });

  it('a message that a settlement brings along is made once, however often that runs', async () => {
    const { id } = await commit();
    const notice = arrival(['a@example.com'], { envelope: { sender: '', recipients: [{ address: 'a@example.com' }] } });
    const also = committer.commands([notice], { once: true });
    const commands = store.settle(job(id, 0), { outcomes: [], events: [], also });
    await opened.redis.group.exec(commands);
    expect((await read(notice.meta.id)).stage).toBe('accepted');
    expect(await opened.redis.client.get(bodyKey(notice.meta.id))).toBe(notice.draft.inline?.toString());
    await apply({ id: notice.meta.id, outcomes: [{ i: 0, status: status('delivered') }], events: [] });
    await opened.redis.group.exec(commands);
    expect(await read(notice.meta.id)).toMatchObject({ stage: 'done', states: ['delivered'] });
    expect(await opened.redis.client.exists(bodyKey(notice.meta.id))).toBe(0);
  });

  it('tells of the body that is not needed any more, at the last recipient', async () => {
    const { id } = await commit(['0@x.test', '1@x.test']);
    for (const i of [0, 1]) {
      const one = job(id, i);
      const settlement = { outcomes: [{ i, status: status('delivered') }], events: [event(id, 'Delivery')] };
      const commands = [...store.settle(one, settlement), { name: 'echo', args: ['the end of the job'] }];
      store.recorded(one, await opened.redis.group.exec(commands));
      expect(ended).toEqual(i === 0 ? [] : [[id, { at: 'fs', size: 5 }]]);
    }
  });

  it('runs what goes along with a settlement in the same transaction', async () => {
    const { id } = await commit();
    const also = [{ name: 'set', args: ['along', 'yes'] }];
    await opened.redis.group.exec(store.settle(job(id, 0), { outcomes: [], events: [], also }));
    expect(await opened.redis.client.get('along')).toBe('yes');
  });
});
