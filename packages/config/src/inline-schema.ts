import { z } from 'zod';
import { duration } from './units.js';

/** How mx listeners with `inline: true` ask policy before they answer the final dot. */
export const inlineSchema = z.strictObject({
  /** Where the policy service answers sessions of other processes: `127.0.0.1:8082`. Not asked for in one process. */
  listen: z
    .string()
    .regex(/^(?:\[[0-9a-f:.]+\]|[^\s:[\]]+):\d{1,5}$/i, 'write such as 127.0.0.1:8082')
    .optional(),
  /** Where ingress finds it: `http://policy:8082`; within one process it is asked directly. */
  url: z.url({ protocol: /^https?$/ }).optional(),
  /** What both sides share; 16 characters at least. */
  secret: z.string().min(16, 'needs 16 characters at least, such as from "openssl rand -hex 32"').optional(),
  /** Time for a verdict. */
  budget: duration.default(10_000),
  /** Past it, or where policy cannot be asked: `accept` takes the message and judges it in the queue, `defer` answers 451. */
  on_timeout: z.enum(['accept', 'defer']).default('accept'),
  /** Messages of one process that are being judged at once; past it what is done past the budget. */
  concurrency: z.int().min(1).default(64),
});
