import { BOUNCE_CAUSES, type BounceCause } from '@waypost/mail';
import { z } from 'zod';
import { duration, occurrences, type Rate } from './units.js';

/** How long an address stays suppressed: a duration, `forever`, or `never` for not at all. */
const lifetime = z.union([
  z.literal('forever').transform(() => Number.POSITIVE_INFINITY),
  z.literal('never').transform(() => 0),
  duration,
]);

/** When a cause suppresses an address, and for how long. */
export interface SuppressionRule {
  /** Milliseconds; `Infinity` until someone takes it off, 0 not at all. */
  readonly for: number;
  /** How often in which time it must have happened; the first time is enough where absent. */
  readonly after?: Rate | undefined;
}

const DAY = 86_400_000;
/**
 * Addresses that do not exist stay until someone takes them off, as at the large senders; domains come back more often; a
 * full or switched-off mailbox counts only when it stays so.
 */
const CAUSES: Partial<Record<BounceCause, SuppressionRule>> = {
  user_unknown: { for: Number.POSITIVE_INFINITY },
  has_moved: { for: Number.POSITIVE_INFINITY },
  not_accept: { for: 90 * DAY },
  host_unknown: { for: 30 * DAY },
  mailbox_full: { for: 30 * DAY, after: { limit: 5, period: 30 * DAY } },
  suspended: { for: 30 * DAY, after: { limit: 5, period: 30 * DAY } },
  feedback: { for: Number.POSITIVE_INFINITY },
};

const suppressions = z.strictObject({
  /** Bounces and complaints put addresses on the list by themselves. */
  automatic: z.boolean().default(true),
  /** By cause of a bounce, over the defaults: `user_unknown: { for: 365d }`, `mailbox_full: { for: 7d, after: 3/14d }`. */
  causes: z
    .partialRecord(z.enum(BOUNCE_CAUSES), z.strictObject({ for: lifetime, after: occurrences.optional() }))
    .default({})
    .transform((given): Partial<Record<BounceCause, SuppressionRule>> => ({ ...CAUSES, ...given })),
  /** Entries kept at most; past it none is added by itself, and those by hand are refused. */
  max_entries: z.int().min(1).default(10_000_000),
});

export const suppressionSections = { suppressions: suppressions.prefault({}) };
