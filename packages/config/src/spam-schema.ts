import { z } from 'zod';
import { mailKinds } from './filters-schema.js';
import { duration } from './units.js';

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

const list = z.strictObject({
  /** Such as `bl.example.org`. Most lists want an agreement, or a resolver of one's own; none is asked by default. */
  zone: z.string().regex(/^[a-z0-9_-]+(?:\.[a-z0-9_-]+)+$/i, 'is no zone; write such as bl.example.org'),
  /** What its symbol is called after DNSBL_ or URIBL_; made of the zone where left out. */
  name: z
    .string()
    .regex(/^[A-Z0-9_]{1,40}$/, 'is capitals, digits and _')
    .optional(),
  score: z.number(),
  /** Points by answer: `127.0.0.2`, `127.0.1.*`, or a bit of the last octet as `&8`; answers that are not named count nothing. */
  codes: z.record(z.string().regex(/^(?:127(?:\.(?:\d{1,3}|\*)){3}|&\d{1,3})$/), z.number()).optional(),
});

const dns = z.strictObject({
  /** Lists of addresses, asked about the client; IPv6 too. */
  address_lists: z.array(list).default([]),
  /** Lists of domains, asked about those of links and of From. */
  domain_lists: z.array(list).default([]),
  /** The names of the client's address, and the address of its HELO name, are looked up. */
  client_names: z.boolean().default(true),
  /** For each question; what is not answered by then counts nothing. */
  timeout: duration.default(2_000),
  /** `address` or `address:port`; `delivery.dns_servers` where empty. */
  servers: z.array(z.string()).default([]),
});

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
  /** Domains that others pretend to be, beside those of mx listeners: banks, partners, your brands. */
  protect: z.array(z.string()).default([]),
  dns: dns.prefault({}),
  /** How mail comes in whose attachments are looked into. */
  attachment_kinds: mailKinds.default(['mx']),
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
export type DnsListConfig = z.output<typeof list>;
