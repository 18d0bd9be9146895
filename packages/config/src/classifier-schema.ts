import { z } from 'zod';
import { mailKinds } from './filters-schema.js';

const classifier = z.strictObject({
  /** How mail comes in that is classified. */
  kinds: mailKinds.default(['mx']),
  /** A model file in place of the one that ships (`waypost spam build-model`). */
  model: z.string().optional(),
  /** Points for a unit of log odds: 1 makes a message that is spam with 99 % count 4.6. */
  weight: z.number().min(0).max(10).default(1),
  /** Points at most for what looks like spam. */
  most: z.number().min(0).default(6),
  /** Points at most taken off for what looks like wanted mail. */
  least: z.number().min(0).default(2),
  /** Bounds of what tenants and operators teach. */
  learning: z
    .strictObject({
      max_weights: z.int().min(1_000).max(1_000_000).default(40_000),
      max_lessons: z.int().min(10).default(20_000),
      /** Lessons of one tenant by API; what an operator does by command or by releasing held mail is not counted. */
      per_hour: z.int().min(1).default(200),
      /** How far one lesson moves the verdict on its own message, in log odds, where that was all wrong. */
      rate: z.number().min(0.1).max(10).default(3),
      /** Log odds that one feature may come to. */
      max_weight: z.number().min(0.1).default(4),
    })
    .prefault({}),
});

export const classifierSections = { classifier: classifier.prefault({}) };
export type ClassifierConfig = z.output<typeof classifier>;
