import { randomBytes } from 'node:crypto';
import {
  FOREVER,
  holdMail,
  lift,
  liftMailHold,
  listSuspensions,
  readMailHolds,
  readSlowed,
  suspend,
} from '@waypost/queue';
import { z } from 'zod';
import type { ActionDeps } from './actions.js';
import { audited } from './audit.js';
import { mailMatchSchema } from './match.js';

export const suspendSchema = z
  .strictObject({
    scope: z
      .string()
      .max(300)
      .regex(
        /^(?:site|provider|source|class):.+/,
        'write such as site:mx:mx.example.net, provider:google or source:blue',
      )
      .optional(),
    /** Mail of a kind, wherever it goes. */
    match: mailMatchSchema
      .refine((match) => Object.keys(match).length > 0, 'name something, so that not all mail is held by mistake')
      .optional(),
    reason: z.string().min(1).max(200),
    /** Seconds; until someone resumes it where absent. */
    for: z.int().min(1).optional(),
  })
  .refine(({ scope, match }) => (scope === undefined) !== (match === undefined), 'give either "scope" or "match"');

/** Lets nothing go to a place, or nothing of a kind. @returns what to resume it by, and until when it lasts. */
export async function suspendMail(
  { scope, match, reason, for: seconds }: z.output<typeof suspendSchema>,
  by: string,
  { executor }: ActionDeps,
) {
  const now = Date.now();
  const duration = seconds === undefined ? FOREVER : seconds * 1000;
  const id = scope ?? `mail:${randomBytes(4).toString('hex')}`;
  const commands = match
    ? holdMail({ id, match, since: now, till: now + duration, reason, by })
    : [suspend(id, duration, reason, by)];
  const entry = { at: iso(now), by, action: 'suspend', target: match ?? scope, reason, changed: 0 };
  await executor.exec([...commands, audited(entry)]);
  return { scope: id, till: seconds === undefined ? null : iso(now + duration) };
}

/**
 * Lifts a suspension.
 * @param recall puts what it had put off back in line.
 */
export async function resumeMail(
  scope: string,
  by: string,
  { executor }: ActionDeps,
  recall: (match: z.output<typeof mailMatchSchema>) => Promise<number>,
) {
  const hold = (await readMailHolds(executor)).find(({ id }) => id === scope);
  const [lifted] = await executor.exec(scope.startsWith('mail:') ? liftMailHold(scope) : [lift(scope)]);
  const changed = hold ? await recall(hold.match) : 0;
  await executor.exec([audited({ at: iso(Date.now()), by, action: 'resume', target: scope, changed })]);
  return { scope, resumed: lifted === 1, recalled: changed };
}

/** @returns what is suspended and what is slowed, by operators and by rules. */
export async function allSuspensions({ executor }: Pick<ActionDeps, 'executor'>) {
  const [places, mail, slowed] = await Promise.all([
    listSuspensions(executor),
    readMailHolds(executor),
    readSlowed(executor),
  ]);
  const timed = <T extends { readonly since: number; readonly till: number }>(one: T) => ({
    ...one,
    since: iso(one.since),
    till: iso(one.till),
  });
  return {
    data: [...places.map(timed), ...mail.map(({ id, ...one }) => ({ scope: id, ...timed(one) }))],
    slowed: [...slowed].map(([scope, one]) => ({ scope, ...one, till: iso(one.till) })),
  };
}

const iso = (time: number) => new Date(time).toISOString();
