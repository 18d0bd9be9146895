import { z } from 'zod';

/**
 * What becomes of mail whose connection ended after the final dot and before the reply: sent again, given up, or kept until an
 * operator decides.
 */
export const onUnknownOutcome = z.enum(['retry', 'bounce', 'hold']);
export type OnUnknownOutcome = z.output<typeof onUnknownOutcome>;

/** One for all, or `{ default: retry, tenants: { blue: hold } }`. */
export const unknownOutcome = z.union([
  onUnknownOutcome.transform((all) => ({ default: all, tenants: {} as Record<string, OnUnknownOutcome> })),
  z.strictObject({
    default: onUnknownOutcome.default('retry'),
    tenants: z.record(z.string(), onUnknownOutcome).default({}),
  }),
]);
