import { z } from 'zod';
import { duration } from './units.js';

const held = z.strictObject({
  /** Held mail that nobody decided on for this long ends; `delivery.max_age` where absent, and no longer. */
  max_age: duration.optional(),
  /** How it ends then: rejected, with a DSN where one is due, or dropped without a word. */
  expired: z.enum(['reject', 'drop']).default('reject'),
  /** Messages held at most; past it mail that would be held is deferred. */
  quota: z.int().min(1).default(100_000),
});

export const heldSections = { held: held.prefault({}) };
