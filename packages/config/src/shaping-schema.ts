import { z } from 'zod';
import { duration, occurrences, rates } from './units.js';
import { onUnknownOutcome } from './unknown-outcome.js';

/** What is done when a remote's replies say that it has had enough. */
const replyRule = z.strictObject({
  /** A regular expression over the remote's text, case-insensitive; our own texts are never matched. */
  text: z.string().optional(),
  /** Enhanced status: `4.7.1`, `4.7.*`, `4.*`. */
  status: z.string().optional(),
  /** Reply code: `421`, `4xx`. */
  code: z
    .string()
    .regex(/^[45](?:\d\d|xx)$/, 'write a reply code such as 421 or 4xx')
    .optional(),
  /** How often before the rule acts; at once where absent. */
  after: occurrences.optional(),
  /**
   * suspend: no mail for a while, then one message as a probe · slow: `rate` and `connections` for a while · reroute: the
   * source is left out for a while, so that the pool's others carry the mail.
   */
  action: z.enum(['suspend', 'slow', 'reroute']),
  /** What is suspended or slowed: the site from the one source that was answered so, or from all. */
  scope: z.enum(['source', 'site']).default('source'),
  for: duration,
  rate: rates.optional(),
  connections: z.int().min(1).optional(),
});

const limitFields = {
  /** Connections over all that the rule matches, together. */
  connections: z.int().min(1).optional(),
  /** Messages over all that the rule matches, together. */
  rate: rates.optional(),
};

const siteFields = {
  /** Connections to each site, from one source. */
  site_connections: z.int().min(1).optional(),
  /** Messages to each site, from one source. */
  site_rate: rates.optional(),
  messages_per_connection: z.int().min(1).optional(),
  recipients_per_transaction: z.int().min(1).optional(),
  tls: z.enum(['none', 'opportunistic', 'required', 'verify']).optional(),
  retry: z
    .strictObject({
      initial: duration.optional(),
      factor: z.number().min(1).optional(),
      max: duration.optional(),
      jitter: z.number().min(0).max(1).optional(),
      greylist: z.array(duration).optional(),
    })
    .optional(),
  max_age: duration.optional(),
  /** Over what `delivery.unknown_outcome` says, of all and of a tenant. */
  unknown_outcome: onUnknownOutcome.optional(),
  /** Of the rules that fit a reply the first acts. */
  replies: z.array(replyRule).default([]),
};

/** The selectors of a rule must all fit; what is absent fits all. */
const rule = z.strictObject({
  /** The recipient's domain, or a next hop's host: `example.com`, `*.example.com`, `*`. */
  match: z.string().default('*'),
  /** Sites whose MX hosts are all under this name: `*.example.net`. */
  mx: z.string().optional(),
  provider: z.string().optional(),
  source: z.string().optional(),
  tenant: z.string().optional(),
  /** `name` or `name=value`. */
  tag: z.string().optional(),
  ...limitFields,
  ...siteFields,
});

const provider = z.strictObject({
  name: z.string(),
  /** Patterns of MX hosts, such as `*.example.net`. */
  mx: z.array(z.string()).min(1),
  ...limitFields,
  ...siteFields,
});

const source = z.strictObject({
  name: z.string(),
  /** Local address to connect from; with a `haproxy` proxy, the proxy's address that it is to connect from. */
  address: z.string().optional(),
  /** Name said in EHLO; server.hostname where absent. */
  ehlo: z.string().optional(),
  /**
   * `socks5://[user:password@]host:port`, or `haproxy://host:port` for a proxy that takes a PROXY v2 header with the target.
   * `proxy_file` keeps one with a password out of the configuration.
   */
  proxy: z.string().optional(),
  /** Daily caps while the source is new: the first day's, the second's …; what is over goes to the pool's other sources. */
  warm_up: z.strictObject({ start: z.iso.date(), per_day: z.array(z.int().min(1)).min(1) }).optional(),
});

const pool = z.strictObject({
  name: z.string(),
  sources: z.array(z.strictObject({ source: z.string(), weight: z.number().min(0).default(1) })).min(1),
});

export const shapingSections = {
  shaping: z.array(rule).default([]),
  /** More mailbox providers, or other settings for those that are built in (by name). */
  providers: z.array(provider).default([]),
  egress: z
    .strictObject({
      sources: z.array(source).default([]),
      pools: z.array(pool).default([]),
      /** The pool where no route names one; the machine's own address where absent. */
      default_pool: z.string().optional(),
    })
    .prefault({}),
};

export type ShapingRule = z.output<typeof rule>;
export type ProviderRule = z.output<typeof provider>;
export type ReplyRule = z.output<typeof replyRule>;
export type EgressSource = z.output<typeof source>;
export type EgressPool = z.output<typeof pool>;
