import { z } from 'zod';
import { duration } from './units.js';

/** How the reverse-path of outgoing mail is written: as it came, one for a transaction, or one for each recipient. */
const verp = z.enum(['off', 'message', 'recipient']);

/** The selectors of a rule must all fit, as those of a route; what is absent fits all. */
const rule = z.strictObject({
  /** The recipient's domain: `example.com`, `*.example.com`, `*`. */
  match: z.string().default('*'),
  tenant: z.string().optional(),
  /** `name` or `name=value`. */
  tag: z.string().optional(),
  /** The sender's domain. */
  sender: z.string().optional(),
  /** Return-path domain and VERP of such mail, in place of the general ones. */
  domain: z.string().optional(),
  verp: verp.optional(),
});

const bounces = z.strictObject({
  /** Reverse-paths are `b-<token>@` this domain; its MX is an mx listener of ours. */
  domain: z.string().optional(),
  /** Signs the tokens. Several, parted by white space or lines: the first signs, the others are still good. */
  secret: z.string().default(''),
  verp: verp.default('off'),
  /** The first that fits decides. */
  rules: z.array(rule).default([]),
  /** Addresses that complaints (RFC 5965) are sent to, beside the return-paths themselves. */
  feedback: z.array(z.string()).default([]),
  /** Where reports go that nobody can make sense of; they are held here where it is absent. */
  postmaster: z.string().optional(),
  /** Bounces that come later go on to the sender, if he wants to hear of them (RFC 3461). */
  forward: z.boolean().default(true),
  /** Tokens of older messages are refused. Counted from a message's acceptance, so longer than mail may be scheduled. */
  valid_for: duration.default(5_184_000_000),
  /** How long it is known who got a message, so that a report that hides its recipient finds him. */
  keep: duration.default(604_800_000),
});

export const bounceSections = { bounces: bounces.prefault({}) };
export type BounceSettings = z.output<typeof bounces>;
