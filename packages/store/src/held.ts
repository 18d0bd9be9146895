import {
  type DsnRecipient,
  isTerminal,
  type MessageEvent,
  type MessageRecord,
  type Reply,
  wantsDsn,
} from '@waypost/mail';
import type { PolicyQueue } from '@waypost/queue';
import type { Command, Executor } from '@waypost/redis';
import type { Spool } from '@waypost/spool';
import type { Committer } from './committer.js';
import { EVENT_STREAM, EVENTS_KEPT } from './events.js';
import { dropHeld } from './held-index.js';
import type { MessageStore } from './messages.js';
import { beginningOf, makeNotice } from './notices.js';
import { encodeStatus, eventField, recordKey } from './record.js';
import { releaseScript } from './scripts/release.js';

export interface HeldDeps {
  readonly executor: Executor;
  readonly store: MessageStore;
  readonly spool: Spool;
  readonly committer: Committer;
  readonly queue: PolicyQueue;
  /** Named in DSNs. */
  readonly hostname: () => string;
}

/** While someone decides on a message nobody else does, ms. */
const CLAIM = 30_000;

/** What may become of held messages. */
export class HeldMail {
  constructor(private readonly deps: HeldDeps) {}

  /**
   * Lets a message go on through policy, from behind the check that held it.
   * @param bypass checks that it is not to meet any more.
   * @returns whether it was held.
   */
  async release(record: MessageRecord, by: string, bypass: readonly string[] = []): Promise<boolean> {
    const { executor, queue } = this.deps;
    const { id } = record.meta;
    if (!(await this.#claim(id))) return false;
    const now = Date.now();
    const { hold, ...judged } = record.judged ?? { hold: undefined };
    const next = 'done' in judged ? { ...judged, done: [...new Set([...judged.done, ...bypass])] } : undefined;
    const event: MessageEvent = {
      type: 'Released',
      id,
      at: now,
      detail: [`by ${by}`, hold ? `held by ${hold.by}: ${hold.reason}` : ''].filter(Boolean).join('; '),
    };
    const args = [
      ...[recordKey(id), EVENT_STREAM, eventField(event), JSON.stringify(event)],
      ...[encodeStatus({ state: 'accepted', at: now }), EVENTS_KEPT, next ? JSON.stringify(next) : ''],
    ];
    const [released] = await executor.exec([{ name: releaseScript.name, script: releaseScript, args }]);
    // Were this process to die here, the reconciler would find a message that no queue has.
    await executor.exec([
      ...(released === 1 ? queue.add([id], { jobId: `${id}~h${now}` }) : []),
      dropHeld(id),
      unclaim(id),
    ]);
    return released === 1;
  }

  /** Ends a message without telling its sender. @returns whether it was held. */
  async drop(record: MessageRecord): Promise<boolean> {
    const { id } = record.meta;
    if (record.stage !== 'held' || !(await this.#claim(id))) return false;
    const done = (await this.deps.store.cancel(id)) === 'canceled';
    await this.deps.executor.exec([dropHeld(id), unclaim(id)]);
    return done;
  }

  /**
   * Ends a message, and tells its sender as for any refusal: not where it came from outside, as he may be forged.
   * @param state `rejected`, or `expired` where its time was over.
   * @returns whether it was held.
   */
  async refuse(given: MessageRecord, state: 'rejected' | 'expired', reply: Reply, why: string): Promise<boolean> {
    const { executor, store, spool } = this.deps;
    const { id } = given.meta;
    if (!(await this.#claim(id))) return false;
    const record = await store.read(id);
    if (record?.stage !== 'held') {
      await executor.exec([dropHeld(id), unclaim(id)]);
      return false;
    }
    const now = Date.now();
    const open = record.recipients.flatMap((status, i) => (isTerminal(status.state) ? [] : [i]));
    const type = state === 'expired' ? 'Expiration' : 'Rejection';
    const event: MessageEvent = { type, id, at: now, rcpts: open, reply, detail: why };
    const outcomes = open.map((i) => ({ i, status: { state, at: now, reply } }));
    await executor.exec([
      ...store.transition({ id, outcomes, events: [event] }),
      ...(await this.#notices(record, open, reply)),
      dropHeld(id),
      unclaim(id),
    ]);
    // What could not be removed now goes with the sweep of bodies without a message.
    await spool.remove(id, record.meta.body, ...(record.variants ?? [])).catch(() => undefined);
    return true;
  }

  async #claim(id: string): Promise<boolean> {
    const [taken] = await this.deps.executor.exec([claimEnd(id)]);
    return taken === 'OK';
  }

  async #notices({ meta }: MessageRecord, open: readonly number[], reply: Reply): Promise<Command[]> {
    const { spool, committer, hostname } = this.deps;
    const { sender, recipients, ret, envid } = meta.envelope;
    const told = open.filter((i) => wantsDsn('failed', sender, recipients[i]?.notify));
    if (meta.origin.kind === 'mx' || told.length === 0) return [];
    const original = await beginningOf(await spool.read(meta.id, meta.body));
    const about = told.map((i): DsnRecipient => {
      const { address = '', orcpt } = recipients[i] ?? {};
      return { address, action: 'failed', reply, ...(orcpt ? { orcpt } : {}) };
    });
    const subject = { id: meta.id, sender, receivedAt: meta.receivedAt, ret, envid, traceparent: meta.traceparent };
    return committer.commands([await makeNotice(spool, hostname(), subject, about, original)], { once: true });
  }
}

const claimKey = (id: string) => `wp:{${id}}:claim`;
/** Whoever ends a message that no lane has takes this first, so that its sender hears of it once; its reply is then OK. */
export const claimEnd = (id: string): Command => ({ name: 'set', args: [claimKey(id), '1', 'NX', 'PX', CLAIM] });
export const unclaim = (id: string): Command => ({ name: 'del', args: [claimKey(id)] });
