import { z } from 'zod';
import { bytes, duration } from './units.js';

/** How mail comes in, as `Origin.kind` has it; our own notifications are never scanned. */
export const mailKinds = z.array(z.enum(['mx', 'relay', 'submission', 'http']));

/** What becomes of a message while the filter is down: later again, on without it, or kept for a person to look at. */
const onFailure = z.enum(['defer', 'pass', 'hold']);

/** What calls of every filter have in common. */
const call = {
  /** For one message, its wait for a free place included. */
  timeout: duration.default(10_000),
  /** Messages one process has scanned at once. */
  concurrency: z.int().min(1).default(16),
  /** Failures in a row after which the filter is left alone ... */
  failures: z.int().min(1).default(5),
  /** ... for this long; then one message tries it again. */
  cool_down: duration.default(10_000),
};

const rspamd = z.strictObject({
  ...call,
  /** `http://host:11333`. */
  url: z.url({ protocol: /^https?$/ }),
  password: z.string().optional(),
  kinds: mailKinds.default(['mx']),
  on_failure: onFailure.default('pass'),
  /** Larger messages are not sent to it. */
  max_size: bytes.default(20_971_520),
  /** What its own score for a refusal counts in ours; other scores in proportion. */
  weight: z.number().min(0).default(15),
  /** Its `reject`, `soft reject`, `quarantine` and `discard` are carried out; else it only adds to the score. */
  apply_actions: z.boolean().default(true),
  /** Header fields it adds and removes are. */
  apply_headers: z.boolean().default(true),
});

const spamd = z.strictObject({
  ...call,
  /** `host:port` or `unix:/path`. */
  address: z.string(),
  /** Whose preferences spamd uses. */
  user: z
    .string()
    .regex(/^[\w.@+-]{1,100}$/, 'is letters, digits and . _ @ + -')
    .optional(),
  kinds: mailKinds.default(['mx']),
  on_failure: onFailure.default('pass'),
  max_size: bytes.default(524_288),
  /** What its own threshold of spam counts in our score; other scores in proportion. */
  weight: z.number().min(0).default(5),
});

const clamd = z.strictObject({
  ...call,
  address: z.string(),
  kinds: mailKinds.default(['mx', 'relay', 'submission', 'http']),
  on_failure: onFailure.default('defer'),
  /** Not over clamd's StreamMaxLength, which is 25 MiB there too unless set. */
  max_size: bytes.default(26_214_400),
  infected: z.enum(['reject', 'hold']).default('reject'),
  /** What becomes of messages that are too large for it. */
  oversize: z.enum(['pass', 'hold', 'reject']).default('pass'),
});

const milter = z.strictObject({
  ...call,
  name: z.string().regex(/^[a-z0-9][a-z0-9_-]{0,30}$/, 'is lower-case letters, digits, - and _'),
  /** `host:port`, `unix:/path` or `inet:port@host`. */
  address: z.string(),
  kinds: mailKinds.default(['mx']),
  on_failure: onFailure.default('defer'),
  max_size: bytes.default(26_214_400),
});

const filters = z.strictObject({
  rspamd: rspamd.optional(),
  spamd: spamd.optional(),
  clamd: clamd.optional(),
  /** Asked in this order. */
  milters: z.array(milter).default([]),
});

export const filterSections = { filters: filters.prefault({}) };
export type RspamdConfig = z.output<typeof rspamd>;
export type SpamdConfig = z.output<typeof spamd>;
export type ClamdConfig = z.output<typeof clamd>;
export type MilterConfig = z.output<typeof milter>;
export type MailKind = z.output<typeof mailKinds>[number];
