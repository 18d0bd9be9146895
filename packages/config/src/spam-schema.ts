import { z } from 'zod';
import { mailKinds } from './filters-schema.js';

/** A score from which something is done; `off` for never. */
const threshold = z.union([z.literal('off').transform(() => Number.POSITIVE_INFINITY), z.number()]);

const thresholds = z.strictObject({
  /** Refused. */
  reject: threshold.default(15),
  /** Kept until someone releases it. */
  hold: threshold.default(Number.POSITIVE_INFINITY),
  /** Marked as spam in its header, and tagged `spam` for routes and rules. */
  tag: threshold.default(5),
});

const fieldName = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9-]{0,60}$/, 'is no header field name; write such as X-Spam-Status');

const spam = z.strictObject({
  /** How mail comes in that is scored. */
  kinds: mailKinds.default(['mx']),
  thresholds: thresholds.prefault({}),
  /** Thresholds of single tenants, in place of those above. */
  tenants: z.record(z.string(), thresholds.partial()).default({}),
  /** Scores of symbols in place of their own, by name; 0 switches one off. */
  scores: z
    .record(z.string().regex(/^[A-Z][A-Z0-9_]*$/, 'is no symbol; symbols are in capitals'), z.number())
    .default({}),
  /** Header fields of scored mail; those of the same name that it came with are taken out. */
  headers: z
    .strictObject({
      enabled: z.boolean().default(true),
      status: fieldName.default('X-Spam-Status'),
      score: fieldName.default('X-Spam-Score'),
      symbols: fieldName.default('X-Spam-Symbols'),
    })
    .prefault({}),
  /** What refused senders are told. */
  reject_text: z.string().max(200).default('This message looks like spam'),
});

export const spamSections = { spam: spam.prefault({}) };
export type SpamConfig = z.output<typeof spam>;
export type SpamThresholds = z.output<typeof thresholds>;
