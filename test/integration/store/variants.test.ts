import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BodyRef } from '@waypost/mail';
import { PolicyQueue } from '@waypost/queue';
import { type BlobStore, FsBlobStore, Spool } from '@waypost/spool';
import { Committer, MessageStore } from '@waypost/store';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arrival, type Opened, openedRedis } from '../../support/stores.js';

let opened: Opened;
let store: MessageStore;
let spool: Spool;
let blobs: BlobStore;
const dir = mkdtempSync(join(tmpdir(), 'waypost-'));
const ended: (readonly BodyRef[])[] = [];
beforeAll(async () => {
  opened = await openedRedis();
  blobs = await new FsBlobStore(dir).init();
  spool = new Spool(opened.redis.group, blobs, { inlineMax: 100, cache: 0 });
  store = new MessageStore(opened.redis.group, 60_000, (_id, ...bodies) => ended.push(bodies));
});
afterAll(async () => {
  await opened?.stop();
  rmSync(dir, { recursive: true, force: true });
});

async function committed() {
  const one = arrival(['b@example.org', 'c@example.org']);
  await new Committer(opened.redis.group, new PolicyQueue(1)).commit(one.meta, one.draft);
  return one.meta;
}

const small = Buffer.from('Subject: other\r\n\r\nsmall\r\n');
const large = Buffer.from(`Subject: other\r\n\r\n${'x'.repeat(200)}\r\n`);
const keys = (id: string) => opened.redis.client.keys(`wp:{${id}}*`);

describe('other forms of a message', () => {
  it('are read back beside the first, and named in its record', async () => {
    const meta = await committed();
    const drafts = [await spool.storeVariant(meta.id, small), await spool.storeVariant(meta.id, large)];
    await opened.redis.group.exec(store.keepVariants(drafts));
    await opened.redis.group.exec(store.keepVariants(drafts));
    const record = await store.read(meta.id);
    expect(record?.variants).toEqual(drafts.map(({ ref }) => ref));
    expect(await spool.read(meta.id, drafts[0]?.ref as BodyRef)).toEqual(small);
    const chunks: Buffer[] = [];
    for await (const chunk of await spool.read(meta.id, drafts[1]?.ref as BodyRef)) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks)).toEqual(large);
    expect(String(await spool.read(meta.id, meta.body))).toContain(meta.id);
  });

  it.each(['delivered', 'canceled'] as const)('go with the message when it is %s', async (state) => {
    const meta = await committed();
    const drafts = [await spool.storeVariant(meta.id, small), await spool.storeVariant(meta.id, large)];
    await opened.redis.group.exec(store.keepVariants(drafts));
    expect(await keys(meta.id)).toHaveLength(3);
    ended.length = 0;
    if (state === 'canceled') {
      expect(await store.cancel(meta.id)).toBe('canceled');
      expect(ended).toEqual([[meta.body, ...drafts.map(({ ref }) => ref)]]);
    } else {
      const outcomes = [0, 1].map((i) => ({ i, status: { state, at: 1 } }));
      await opened.redis.group.exec(store.transition({ id: meta.id, outcomes, events: [] }));
    }
    expect(await keys(meta.id)).toEqual([`wp:{${meta.id}}:m`]);
    await spool.remove(meta.id, meta.body, ...drafts.map(({ ref }) => ref));
    for await (const id of blobs.list(Number.POSITIVE_INFINITY)) expect(id.startsWith(meta.id)).toBe(false);
  });

  it('are not kept for a message that has ended meanwhile', async () => {
    const meta = await committed();
    const draft = await spool.storeVariant(meta.id, small);
    await store.cancel(meta.id);
    expect(await opened.redis.group.exec(store.keepVariants([draft]))).toEqual([0]);
    expect(await keys(meta.id)).toEqual([`wp:{${meta.id}}:m`]);
  });
});
