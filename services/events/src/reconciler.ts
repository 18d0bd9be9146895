import { setTimeout as sleep } from 'node:timers/promises';
import { isTerminal, type MessageRecord } from '@waypost/mail';
import { LANE_PREFIX, LANES_DUE, laneQueue, type PolicyQueue, wakeLane } from '@waypost/queue';
import type { Executor } from '@waypost/redis';
import type { Runtime } from '@waypost/runtime';
import type { BlobStore } from '@waypost/spool';
import { type MessageStore, messageTime, recordKey } from '@waypost/store';
import type { Expirer } from './expirer.js';
import { suspects } from './scripts/suspects.js';

export interface ReconcilerDeps {
  readonly runtime: Runtime;
  readonly executor: Executor;
  readonly store: MessageStore;
  readonly queue: PolicyQueue;
  readonly blobs: BlobStore;
  /** Ends messages that are too old. */
  readonly expirer?: Pick<Expirer, 'youngest' | 'end'>;
  /** Younger messages and blobs are left alone, ms. */
  readonly grace?: number;
}

const GRACE = 120_000;
/** A blob without a record may belong to a transaction that is still arriving. */
const ORPHAN_AGE = 86_400_000;
const SCAN = 500;
/** A variant's name has its own hash behind the message's id. */
const ID_LENGTH = 36;
/** Between two pages, ms. */
const PAUSE = 5;

/**
 * Looks over all that is kept for what fell between the stages: messages without a job, lanes that nobody is told of,
 * jobs without a holder, bodies without a message. In normal running it finds nothing; what it mends is counted and alerts.
 */
export class Reconciler {
  constructor(private readonly deps: ReconcilerDeps) {}

  /** One pass. @returns what was mended, by kind. */
  async pass(now = Date.now()): Promise<Record<string, number>> {
    const repairs: Record<string, number> = {
      lane: await this.#lanes(now),
      stalled: await this.#stalled(),
      message: await this.#messages(now),
      blob: await this.#blobs(now),
    };
    for (const [kind, count] of Object.entries(repairs)) {
      if (count === 0) continue;
      this.deps.runtime.metrics.reconcilerRepairs.inc({ kind }, count);
      this.deps.runtime.log.warn({ kind, count }, 'the reconciler mended something');
    }
    return repairs;
  }

  /** Lanes that hold jobs but are not in the set of lanes with work. */
  async #lanes(now: number): Promise<number> {
    let mended = 0;
    for (const list of ['wait', 'delayed', 'active']) {
      for await (const keys of this.#pages(`wp:lane:{*}:${list}`)) {
        for (const key of keys) mended += await this.#noteLane(laneOfKey(key), now);
      }
    }
    return mended;
  }

  async #noteLane(lane: string, now: number): Promise<number> {
    const [score] = await this.deps.executor.exec([{ name: 'zscore', args: [LANES_DUE, lane] }]);
    if (score !== null) return 0;
    await this.deps.executor.exec(wakeLane(lane, now, 1));
    return 1;
  }

  /** Jobs whose holder let the lock lapse. */
  async #stalled(): Promise<number> {
    const { executor, queue } = this.deps;
    const [lanes] = (await executor.exec([{ name: 'zrange', args: [LANES_DUE, 0, -1] }])) as [string[]];
    let moved = 0;
    for (const part of chunks([...queue.partitions, ...lanes.map(laneQueue)], 200)) {
      const replies = await executor.exec(part.map((one) => one.recoverStalled()));
      for (const reply of replies) moved += Array.isArray(reply) ? reply.length : 0;
    }
    for (const lane of moved > 0 ? lanes : []) await executor.exec(wakeLane(lane, Date.now(), 1));
    return moved;
  }

  /** Messages that are neither ended nor anywhere in a queue go through policy again, which routes what is open. */
  async #messages(now: number): Promise<number> {
    let mended = 0;
    const waiting = await this.#idsInPolicy();
    for await (const keys of this.#pages('wp:{*}:m')) {
      await this.#expire(keys, now);
      const args = [LANE_PREFIX, ...keys];
      const [found] = (await this.deps.executor.exec([{ name: suspects.name, script: suspects, args }])) as [string[]];
      for (let at = 0; at < found.length; at += 2) {
        const id = (found[at] as string).slice(4, -3);
        const stage = found[at + 1] as MessageRecord['stage'];
        if (stage !== 'routed' && waiting.has(id)) continue;
        if (await this.#mendMessage(id, stage, now)) mended += 1;
      }
    }
    return mended;
  }

  /** An id tells when its message came in, so that only old ones are read. */
  async #expire(keys: readonly string[], now: number): Promise<void> {
    const { expirer, store, grace = GRACE } = this.deps;
    if (!expirer) return;
    const oldest = now - expirer.youngest - grace;
    const old = keys.map((key) => key.slice(4, -3)).filter((id) => messageTime(id) <= oldest);
    for (const record of old.length > 0 ? await store.readMany(old) : []) {
      if (record) await expirer.end(record, now, grace);
    }
  }

  /** @returns whether the message was put back on its way. */
  async #mendMessage(id: string, stage: MessageRecord['stage'], now: number): Promise<boolean> {
    const { executor, store, queue } = this.deps;
    const record = await store.read(id);
    if (!record || now - record.meta.receivedAt < (this.deps.grace ?? GRACE)) return false;
    if (stage === 'scheduled' && (record.meta.scheduledAt ?? 0) > now - GRACE) return false;
    if (record.stage !== stage || record.recipients.every(({ state }) => isTerminal(state))) return false;
    // Looked at again after what may have been slow: its jobs may have moved on meanwhile.
    const args = [LANE_PREFIX, recordKey(id)];
    const [still] = (await executor.exec([{ name: suspects.name, script: suspects, args }])) as [string[]];
    if (still[1] !== stage) return false;
    await executor.exec([
      ...store.transition({ id, outcomes: [], events: [], stage: 'accepted' }),
      ...queue.add([id], { jobId: `${id}~r${now}` }),
    ]);
    return true;
  }

  async #idsInPolicy(): Promise<Set<string>> {
    const { executor, queue } = this.deps;
    const ids = new Set<string>();
    for (const partition of queue.partitions) {
      const [wait, active, delayed] = (await executor.exec([
        { name: 'lrange', args: [partition.key('wait'), 0, -1] },
        { name: 'lrange', args: [partition.key('active'), 0, -1] },
        { name: 'zrange', args: [partition.key('delayed'), 0, -1] },
      ])) as [string[], string[], string[]];
      for (const part of chunks([...wait, ...active, ...delayed], 200)) {
        const data = (await executor.exec(
          part.map((job) => ({ name: 'hget', args: [partition.jobKey(job), 'data'] })),
        )) as (string | null)[];
        for (const text of data) for (const id of text ? (JSON.parse(text) as { ids: string[] }).ids : []) ids.add(id);
      }
    }
    return ids;
  }

  /** Bodies in the blob store whose message has ended or never was. */
  async #blobs(now: number): Promise<number> {
    const { blobs, executor } = this.deps;
    let removed = 0;
    for await (const id of blobs.list(now - ORPHAN_AGE)) {
      const [stage] = (await executor.exec([{ name: 'hget', args: [recordKey(id.slice(0, ID_LENGTH)), 'stage'] }])) as [
        string | null,
      ];
      if (stage !== null && stage !== 'done' && stage !== 'canceled') continue;
      await blobs.delete(id);
      removed += 1;
    }
    return removed;
  }

  /** Goes through the keys page by page, leaving Redis to others in between. */
  async *#pages(pattern: string): AsyncGenerator<string[]> {
    let cursor = '0';
    do {
      const [reply] = await this.deps.executor.exec([
        { name: 'scan', args: [cursor, 'MATCH', pattern, 'COUNT', SCAN] },
      ]);
      const [next, keys] = reply as [string, string[]];
      cursor = next;
      if (keys.length > 0) yield keys;
      if (cursor !== '0') await sleep(PAUSE);
    } while (cursor !== '0');
  }
}

/** @returns the lane of one of its BullMQ keys. */
function laneOfKey(key: string): string {
  return key.slice(key.indexOf('{') + 1, key.lastIndexOf('}')).replaceAll('/', ':');
}

function chunks<T>(list: readonly T[], size: number): T[][] {
  const parts: T[][] = [];
  for (let at = 0; at < list.length; at += size) parts.push(list.slice(at, at + size));
  return parts;
}
