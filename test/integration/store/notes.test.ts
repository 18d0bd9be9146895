import { loadConfig } from '@waypost/config';
import type { LateBounce, MessageEvent, RecipientStatus } from '@waypost/mail';
import { PolicyQueue } from '@waypost/queue';
import {
  Committer,
  EVENT_STREAM,
  MessageStore,
  recordKey,
  SuppressionStore,
  suppressFor,
  UNKNOWN_OUTCOMES,
} from '@waypost/store';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { arrival, type Opened, openedRedis } from '../../support/stores.js';

let opened: Opened;
let store: MessageStore;
let committer: Committer;
let suppressions: SuppressionStore;
beforeAll(async () => {
  opened = await openedRedis();
  const { group } = opened.redis;
  store = new MessageStore(group, 60_000);
  committer = new Committer(group, new PolicyQueue(1));
  suppressions = new SuppressionStore(group);
});
afterAll(() => opened?.stop());
beforeEach(async () => {
  await opened.redis.client.flushall();
});

async function commit(...recipients: string[]): Promise<string> {
  const { meta, draft } = arrival(recipients);
  await committer.commit(meta, draft);
  return meta.id;
}

const status = (state: RecipientStatus['state']): RecipientStatus => ({ state, at: 1000 });
const ends = (id: string, ...states: RecipientStatus['state'][]) =>
  store.transition({ id, outcomes: states.map((state, i) => ({ i, status: status(state) })), events: [] });
const bounce = (report: string): LateBounce => ({
  at: 2000,
  cause: 'user_unknown',
  hard: true,
  reply: { code: 550, enhanced: '5.1.1', text: 'gone' },
  report,
  proven: true,
});

function noted(id: string, report: string, i?: number) {
  const event: MessageEvent = { type: 'OOB', id, at: 2000, rcpts: i === undefined ? [] : [i] };
  return store.note(report, { event, i, ...(i === undefined ? {} : { lateBounce: bounce(report) }) });
}

async function published(type: string): Promise<number> {
  const entries = await opened.redis.client.xrange(EVENT_STREAM, '-', '+');
  const texts = entries.flatMap(([, fields]) => fields.filter((_, at) => at % 2 === 1));
  return texts.filter((text) => (JSON.parse(text) as MessageEvent).type === type).length;
}

describe('what a report says', () => {
  it('is noted once, however often its transaction is run', async () => {
    const [id, report] = [await commit('a@example.org', 'b@example.org'), await commit('b-x@bounces.example.com')];
    await opened.redis.group.exec(ends(id, 'delivered', 'delivered'));
    const transaction = [noted(id, report, 1), ...ends(report, 'delivered')];
    const replies = [await opened.redis.group.exec(transaction), await opened.redis.group.exec(transaction)];
    expect(replies.map(([reply]) => reply)).toEqual([1, 0]);
    // Made anew, as by a process that took the report over, its event has another field.
    expect((await opened.redis.group.exec([noted(id, report, 1)]))[0]).toBe(0);
    const record = await store.read(id);
    expect(record?.events.filter(({ type }) => type === 'OOB')).toHaveLength(1);
    expect(await published('OOB')).toBe(1);
    expect(record?.recipients).toEqual([status('delivered'), { ...status('delivered'), lateBounce: bounce(report) }]);
    expect(record?.stage).toBe('done');
    expect(await opened.redis.client.pttl(recordKey(id))).toBeGreaterThan(0);
  });

  it('before the message has ended stays when it ends', async () => {
    const [id, report] = [await commit('a@example.org'), await commit('b-x@bounces.example.com')];
    await opened.redis.group.exec([noted(id, report, 0), ...ends(report, 'delivered')]);
    await opened.redis.group.exec(ends(id, 'delivered'));
    expect((await store.read(id))?.recipients[0]).toMatchObject({ state: 'delivered', lateBounce: { hard: true } });
  });

  it('of a recipient nobody knows is an event alone', async () => {
    const [id, report] = [await commit('a@example.org'), await commit('b-x@bounces.example.com')];
    await opened.redis.group.exec([noted(id, report), ...ends(report, 'delivered')]);
    const record = await store.read(id);
    expect(record?.events).toContainEqual({ type: 'OOB', id, at: 2000, rcpts: [] });
    expect(record?.recipients[0]?.lateBounce).toBeUndefined();
  });

  it('makes no record of a message that has gone, and is published', async () => {
    const report = await commit('b-x@bounces.example.com');
    const id = '01890a5d-ac96-774b-bcce-b302099a8057';
    await opened.redis.group.exec([noted(id, report, 0), ...ends(report, 'delivered')]);
    expect(await opened.redis.client.exists(recordKey(id))).toBe(0);
    expect(await published('OOB')).toBe(1);
  });
});

it('an incident counts once towards a suppression, however often it is told', async () => {
  const text = JSON.stringify({ suppressions: { causes: { mailbox_full: { for: '7d', after: '2/1d' } } } });
  const settings = loadConfig({ text }).suppressions;
  const full = (message: string) =>
    suppressFor(
      { address: 'full@example.org', cause: 'mailbox_full', hard: false, reason: 'full', message, at: Date.now() },
      suppressions,
      settings,
    );
  for (const message of ['one', 'one', 'one']) await opened.redis.group.exec(full(message));
  expect(await suppressions.get('full@example.org')).toBeUndefined();
  await opened.redis.group.exec(full('two'));
  expect(await suppressions.get('full@example.org')).toMatchObject({ cause: 'mailbox_full', message: 'two' });
});

describe('a recipient whose outcome is unknown', () => {
  it('is not to be sent to, and his message is on the list until he is decided about', async () => {
    const id = await commit('a@example.org', 'b@example.org');
    const job = { id, rcpts: [{ i: 0 }, { i: 1 }] } as never;
    const listed = () => opened.redis.client.zrange(UNKNOWN_OUTCOMES, '0', '-1');
    const asked = async () => store.open(job, (await opened.redis.group.exec([store.progress(job)]))[0]);
    await opened.redis.group.exec([...ends(id, 'unknown', 'unknown'), ...ends(id, 'unknown', 'unknown')]);
    expect(await listed()).toEqual([id]);
    expect(await asked()).toEqual({ open: [], unknown: [0, 1] });
    await opened.redis.group.exec(ends(id, 'queued'));
    expect(await asked()).toEqual({ open: [0], unknown: [1] });
    expect(await listed()).toEqual([id]);
    await opened.redis.group.exec(ends(id, 'delivered', 'delivered'));
    expect(await listed()).toEqual([]);
    // What ended does not come back.
    await opened.redis.group.exec(ends(id, 'unknown'));
    expect(await listed()).toEqual([]);
    expect((await store.read(id))?.stage).toBe('done');
  });
});
