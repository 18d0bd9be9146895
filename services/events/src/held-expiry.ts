import type { Config } from '@waypost/config';
import type { Executor } from '@waypost/redis';
import type { Runtime } from '@waypost/runtime';
import { dropHeld, type HeldMail, type MessageStore, overdueHeld } from '@waypost/store';

export interface HeldExpiryDeps {
  readonly runtime: Runtime;
  readonly config: () => Config;
  readonly executor: Executor;
  readonly store: MessageStore;
  readonly held: HeldMail;
}

/** Messages read at a time. */
const PAGE = 100;

/**
 * Ends held messages whose time is over.
 * @returns how many it ended.
 */
export async function expireHeld(deps: HeldExpiryDeps, now = Date.now()): Promise<number> {
  const { executor, store, config, held, runtime } = deps;
  let ended = 0;
  for (;;) {
    const ids = await overdueHeld(executor, now, PAGE);
    let gone = 0;
    for (const record of await store.readMany(ids)) {
      if (record?.stage !== 'held') continue;
      const { hold } = record.judged ?? {};
      const why = hold ? `held by ${hold.by}: ${hold.reason}` : 'held';
      const reply = { code: 550, enhanced: '4.4.7', text: 'Held for review, and not released in time' };
      const done =
        config().held.expired === 'drop' ? await held.drop(record) : await held.refuse(record, 'expired', reply, why);
      if (done) gone += 1;
    }
    // Those that ended otherwise are in the list until it is looked at.
    const left = await store.readMany(ids);
    const over = ids.filter((_, at) => left[at]?.stage !== 'held');
    if (over.length > 0) await executor.exec([dropHeld(...over)]);
    ended += gone;
    if (gone > 0) runtime.log.info({ ended: gone }, 'held messages whose time was over have ended');
    if (ids.length < PAGE || over.length === 0) return ended;
  }
}
