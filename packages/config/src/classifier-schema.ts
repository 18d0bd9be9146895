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
});

export const classifierSections = { classifier: classifier.prefault({}) };
export type ClassifierConfig = z.output<typeof classifier>;
