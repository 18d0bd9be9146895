import type { LaneJob } from '@waypost/mail';
import type { Command, Executor } from '@waypost/redis';
import { fitsLane, fitsMail, type MailMatch } from '@waypost/shaping';
import { MAIL_HOLDS, SHAPE_CHANGED } from './names.js';

/** Mail of a kind that is not to go for now, wherever it goes. Times in ms since the epoch. */
export interface MailHold {
  /** `mail:` and what tells it from the others. */
  readonly id: string;
  readonly match: MailMatch;
  readonly since: number;
  readonly till: number;
  readonly reason: string;
  /** Who set it. */
  readonly by: string;
}

/** Sets a hold and tells the delivery processes; one of the same id is replaced. */
export function holdMail(hold: MailHold): Command[] {
  return [
    { name: 'hset', args: [MAIL_HOLDS, hold.id, JSON.stringify(hold)] },
    { name: 'publish', args: [SHAPE_CHANGED, hold.id] },
  ];
}

/** Lifts a hold; the first reply is 1 where there was one. What it had put off is to be called back by whoever lifts it. */
export function liftMailHold(id: string): Command[] {
  return [
    { name: 'hdel', args: [MAIL_HOLDS, id] },
    { name: 'publish', args: [SHAPE_CHANGED, id] },
  ];
}

/** @returns the holds in force; those that are over go. */
export async function readMailHolds(executor: Executor): Promise<MailHold[]> {
  const [values] = (await executor.exec([{ name: 'hvals', args: [MAIL_HOLDS] }])) as [string[]];
  const holds = values.map((text) => JSON.parse(text) as MailHold);
  const over = holds.filter(({ till }) => till <= Date.now()).map(({ id }) => id);
  if (over.length > 0) await executor.exec([{ name: 'hdel', args: [MAIL_HOLDS, ...over] }]);
  return holds.filter(({ id }) => !over.includes(id));
}

/** @returns the first hold that a job falls under. */
export function holdOf(holds: readonly MailHold[], job: LaneJob, now: number): MailHold | undefined {
  return holds.find(({ match, till }) => till > now && fitsLane(job.lane, match) && fitsMail(job, match));
}
