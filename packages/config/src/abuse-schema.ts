import { z } from 'zod';
import { byteRates, duration, type Rate, rates } from './units.js';

/** What an address may do wrong in a session. */
// biome-ignore format: one line reads better than seven
export const OFFENCES = ['auth', 'unknown_command', 'early_talker', 'errors', 'recipient', 'smuggling', 'http'] as const;
export type Offence = (typeof OFFENCES)[number];

/** What a limit counts by. */
export const LIMIT_SUBJECTS = ['credential', 'tenant', 'address', 'sender', 'recipient_domain'] as const;
export type LimitSubject = (typeof LIMIT_SUBJECTS)[number];

/** How much mail may come from one, or go to one, in a time that slides. */
export interface LimitRule {
  readonly per: LimitSubject;
  /** Which of them, any where empty: names, networks, sender addresses or domains, by what is counted. */
  readonly match: readonly string[];
  /** Ways in that it holds for, all where empty. */
  readonly kinds: readonly ('submission' | 'relay' | 'mx' | 'http')[];
  readonly messages: readonly Rate[];
  readonly recipients: readonly Rate[];
  /** Octets. */
  readonly bytes: readonly Rate[];
}

const names = z.union([z.string(), z.array(z.string())]).transform((given) => [given].flat());

const limit = z
  .strictObject({
    per: z.enum(LIMIT_SUBJECTS),
    match: names.default([]),
    kinds: z.array(z.enum(['submission', 'relay', 'mx', 'http'])).default([]),
    /** Such as `100/min`, or `[100/min, 1000/d]`. */
    messages: rates.default([]),
    recipients: rates.default([]),
    /** Such as `1GiB/d`. */
    bytes: byteRates.default([]),
  })
  .refine(
    ({ messages, recipients, bytes }) => messages.length + recipients.length + bytes.length > 0,
    'give "messages", "recipients" or "bytes"',
  );

/** Of a hundred points: eleven failed logins in a short time, or two cross-protocol requests. */
const POINTS: Record<Offence, number> = {
  auth: 10,
  unknown_command: 5,
  early_talker: 60,
  errors: 60,
  recipient: 4,
  smuggling: 30,
  http: 60,
};

const bans = z.strictObject({
  enabled: z.boolean().default(true),
  /** Points at which an address is banned. */
  threshold: z.number().positive().default(100),
  /** Points are half of it after this. */
  half_life: duration.default(600_000),
  /** By offence, over the defaults; 0 forgives. */
  points: z
    .partialRecord(z.enum(OFFENCES), z.number().min(0))
    .default({})
    .transform((given): Record<Offence, number> => ({ ...POINTS, ...given })),
  /** The first ban; each further one lasts `factor` times as long, up to `max_duration`. */
  duration: duration.default(900_000),
  factor: z.number().min(1).default(4),
  max_duration: duration.default(604_800_000),
  /** An address that was banned is known for this long after, and banned longer the next time. */
  remember: duration.default(604_800_000),
  /** What counts as one address. */
  ipv4_prefix: z.int().min(8).max(32).default(32),
  ipv6_prefix: z.int().min(16).max(128).default(64),
  /** Bans, and addresses with points, kept at most. */
  max_entries: z.int().min(100).default(100_000),
  /** Networks that are never banned by themselves. */
  exempt: z.array(z.string()).default(['127.0.0.0/8', '::1']),
});

const tarpit = z.strictObject({
  /** How long a refused connection waits for its refusal; 0 refuses at once. */
  delay: duration.default(10_000),
  /** Connections that wait at a time; others are refused at once. */
  sockets: z.int().min(0).default(256),
});

/** Networks as in `192.0.2.0/24`, and files with one a line; files are followed as they change. */
const lists = z.strictObject({
  /** Always let in: no ban, no check within the session. */
  allow: z.array(z.string()).default([]),
  allow_files: z.array(z.string()).default([]),
  deny: z.array(z.string()).default([]),
  deny_files: z.array(z.string()).default([]),
});

/** What is looked at in sessions of mx listeners before a message is taken. */
const mx = z.strictObject({
  /** `syntax`: a domain name or an address in brackets · `strict`: with a dot in it, and not our own. */
  helo: z.enum(['off', 'syntax', 'strict']).default('syntax'),
  /** Whether the sender's domain must be one that mail can be sent to. */
  sender_domain: z.enum(['off', 'reject']).default('off'),
  /** Whether mail is refused at MAIL that the sender's domain disowns (SPF `fail`). */
  spf: z.enum(['off', 'reject']).default('off'),
  /** Mail from outside that claims to be from our own domains, unless SPF vouches for it: in the envelope, or in From too. */
  spoofing: z.enum(['off', 'envelope', 'header']).default('envelope'),
  /** Further domains of ours beside those the listener takes mail for. */
  own_domains: z.array(z.string()).default([]),
  /** Points in DNS lists (`spam.dns.address_lists`) at which a client is refused; 0 does not ask them in the session. */
  dns_lists_reject: z.number().min(0).default(0),
});

const callForward = z.strictObject({
  /** Such as `lmtp://127.0.0.1:24`; nobody is asked where absent. */
  to: z.string().optional(),
  timeout: duration.default(10_000),
  positive_cache: duration.default(3_600_000),
  negative_cache: duration.default(300_000),
  max_entries: z.int().min(1).default(50_000),
});

const recipients = z.strictObject({
  /** Files with an address a line, or `@example.com`; whose domain is in them must be in them. */
  files: z.array(z.string()).default([]),
  call_forward: callForward.prefault({}),
});

const greylist = z.strictObject({
  /** `suspicious`: SPF does not vouch for the sender. */
  when: z.enum(['never', 'suspicious', 'always']).default('never'),
  delay: duration.default(60_000),
  /** It must come again within this. */
  retry_window: duration.default(86_400_000),
  /** What came again is known this long after its last use. */
  lifetime: duration.default(3_110_400_000),
  /** Triplets of a client that came again, after which it is not put off any more; 0 is never. */
  clients_after: z.int().min(0).default(5),
  ipv4_prefix: z.int().min(8).max(32).default(24),
  ipv6_prefix: z.int().min(16).max(128).default(64),
  max_entries: z.int().min(100).default(500_000),
});

const anomaly = z.strictObject({
  enabled: z.boolean().default(true),
  /** An hour is an anomaly with so many times the recipients of an hour by habit, and twice its peak. */
  factor: z.number().min(1).default(5),
  /** Recipients an hour below which nothing is. */
  minimum: z.int().min(1).default(1000),
  /** `hold`: the credential may not send for `hold_for`, or until an operator resets it. */
  action: z.enum(['alarm', 'hold']).default('alarm'),
  hold_for: duration.default(3_600_000),
});

const abuse = z.strictObject({
  limits: z.array(limit).default([]),
  bans: bans.prefault({}),
  tarpit: tarpit.prefault({}),
  lists: lists.prefault({}),
  mx: mx.prefault({}),
  recipients: recipients.prefault({}),
  greylist: greylist.prefault({}),
  anomaly: anomaly.prefault({}),
});

export type AbuseConfig = z.output<typeof abuse>;
export type BanSettings = AbuseConfig['bans'];
export type AccessListSettings = AbuseConfig['lists'];
export type MxSettings = AbuseConfig['mx'];
export type CallForwardSettings = AbuseConfig['recipients']['call_forward'];
export type HabitSettings = AbuseConfig['anomaly'];
export type GreylistSettings = AbuseConfig['greylist'];

export const abuseSections = { abuse: abuse.prefault({}) };
