import { isDomain, normaliseAddress } from '@waypost/mail';
import { z } from 'zod';
import { Networks } from './networks.js';
import { regex } from './pattern.js';
import { bytes, duration, rates } from './units.js';

const oneOrMore = <T extends z.ZodType>(one: T) =>
  z.union([one, z.array(one).min(1)]).transform((given) => [given].flat() as z.output<T>[]);

/** Lines of a text or file, without comments. */
const lines = z.union([z.string(), z.array(z.string())]).transform((given) =>
  [given]
    .flat()
    .flatMap((text) => text.split(/\r?\n/))
    .map((line) => line.replace(/(?:^|\s)#.*$/, '').trim())
    .filter((line) => line !== ''),
);

/** `user@example.com`, `@example.com`, `@*.example.com`, or `<>` for the null reverse-path; `…_file` names a file of them. */
const addresses = lines.superRefine((list, ctx) => {
  const bad = list.find((one) => one !== '<>' && !isAddressPattern(one));
  if (bad !== undefined) {
    ctx.addIssue({ code: 'custom', message: `"${bad}" is no address; write user@example.com, @example.com or <>` });
  }
});

function isAddressPattern(text: string): boolean {
  if (!text.startsWith('@')) return normaliseAddress(text) !== undefined;
  const domain = text.replace(/^@(?:\*\.)?/, '');
  return domain === '*' || isDomain(domain.toLowerCase());
}

const networks = lines.superRefine((list, ctx) => {
  try {
    new Networks(list);
  } catch (error) {
    ctx.addIssue({ code: 'custom', message: (error as Error).message });
  }
});

const fieldName = z.string().regex(/^[!-9;-~]{1,76}$/, 'is no name of a header field');
const header = z.strictObject({
  name: fieldName,
  /** Found in a value of this field, decoded; its first 4,096 characters are looked at. */
  matches: regex.optional(),
  contains: z.string().min(1).optional(),
  equals: z.string().optional(),
  /** Whether there is such a field. */
  exists: z.boolean().optional(),
});

const clock = z.string().regex(/^(?:[01]\d|2[0-4]):[0-5]\d$/, 'is no time of day; write such as 08:30');
const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
const results = oneOrMore(z.enum(['pass', 'fail', 'softfail', 'neutral', 'none', 'temperror', 'permerror', 'policy']));

const simple = {
  /** inbound: over an mx listener; outbound: all else. */
  direction: z.enum(['inbound', 'outbound']).optional(),
  origin: oneOrMore(z.enum(['submission', 'relay', 'mx', 'http', 'internal'])).optional(),
  listener: oneOrMore(z.string()).optional(),
  tenant: oneOrMore(z.string()).optional(),
  /** Id of the API key it was submitted with. */
  credential: oneOrMore(z.string()).optional(),
  remote: networks.optional(),
  helo: regex.optional(),
  tls: z.boolean().optional(),
  sender: addresses.optional(),
  /** About each recipient: what is done is done for those that fit. */
  recipient: addresses.optional(),
  recipients: z.strictObject({ over: z.int().min(0).optional(), under: z.int().min(1).optional() }).optional(),
  header: oneOrMore(header).optional(),
  size: z.strictObject({ over: bytes.optional(), under: bytes.optional() }).optional(),
  /** Sum of the symbols found so far. */
  score: z.strictObject({ at_least: z.number().optional(), below: z.number().optional() }).optional(),
  /** Any of these was found; `URIBL_*` is any that begins so. */
  symbol: oneOrMore(z.string()).optional(),
  tag: oneOrMore(z.string()).optional(),
  auth: z
    .strictObject({
      spf: results.optional(),
      /** Any signature. */
      dkim: results.optional(),
      /** A signature of this domain passed. */
      dkim_domain: oneOrMore(z.string()).optional(),
      dmarc: results.optional(),
      arc: results.optional(),
    })
    .optional(),
  /** Any attachment that all of this fits. */
  attachment: z
    .strictObject({
      name: regex.optional(),
      /** `application/zip` or `application/*`. */
      type: oneOrMore(z.string()).optional(),
      over: bytes.optional(),
    })
    .optional(),
  time: z
    .strictObject({
      days: z.array(z.enum(DAYS)).optional(),
      from: clock.optional(),
      to: clock.optional(),
      zone: z.string().default('UTC').refine(isZone, 'is no time zone; write such as Europe/Berlin'),
    })
    .optional(),
};

function isZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

const simpleSchema = z.strictObject(simple);
type Simple = z.output<typeof simpleSchema>;
/** When a rule applies: all that is named must fit. */
export interface RuleCondition extends Simple {
  any?: RuleCondition[] | undefined;
  all?: RuleCondition[] | undefined;
  not?: RuleCondition | undefined;
}

const condition: z.ZodType<RuleCondition> = z.strictObject({
  ...simple,
  any: z
    .array(z.lazy(() => condition))
    .min(1)
    .optional(),
  all: z
    .array(z.lazy(() => condition))
    .min(1)
    .optional(),
  not: z.lazy(() => condition).optional(),
});

/** A text that an SMTP reply can carry. */
const replyText = z
  .string()
  .min(1)
  .max(400)
  .regex(/^[\x20-\x7e]+$/, 'takes printable ASCII on one line');
const asObject = <T extends z.ZodType>(key: string, schema: T) =>
  z.preprocess((given) => (typeof given === 'string' ? { [key]: given } : given), schema);
const fieldValue = z
  .string()
  .max(4000)
  .regex(/^[\x20-\x7e]*$/, 'takes printable ASCII on one line, which is folded by itself');
const address = z.string().refine((text) => normaliseAddress(text) !== undefined, 'is no address');

const actions = z.strictObject({
  reject: asObject(
    'text',
    z.strictObject({
      text: replyText,
      code: z.int().min(500).max(599).default(550),
      enhanced: z
        .string()
        .regex(/^5\.\d{1,3}\.\d{1,3}$/)
        .default('5.7.1'),
    }),
  ).optional(),
  /** Judged again after `policy.retry`; in a session answered with 451. */
  defer: replyText.optional(),
  hold: asObject('reason', z.strictObject({ reason: z.string().min(1).max(200), for: duration.optional() })).optional(),
  tag: oneOrMore(z.string().regex(/^[\w.-]{1,256}(?:=[^\x00-\x1f]{0,256})?$/, 'write name or name=value')).optional(),
  /** Adds a symbol of the rule's name with this score. */
  score: z.number().optional(),
  /** In values `{score}`, `{symbols}`, `{id}`, `{tenant}`, `{listener}` and `{remote}` are filled in. */
  add_header: oneOrMore(z.strictObject({ name: fieldName, value: fieldValue })).optional(),
  remove_header: oneOrMore(asObject('name', z.strictObject({ name: fieldName, matches: regex.optional() }))).optional(),
  /** The recipients that fit are written to here instead. */
  redirect: address.optional(),
  /** Further recipients, such as an archive; the others do not see them. */
  add_recipient: oneOrMore(address).optional(),
  /** Next hop in place of the route's, as a route's `to`. */
  route: z.string().optional(),
  pool: z.string().optional(),
  limit: z
    .strictObject({
      rate: rates,
      per: oneOrMore(
        z.enum(['sender', 'sender_domain', 'recipient', 'recipient_domain', 'credential', 'tenant', 'remote']),
      ).default([]),
      /** What happens to mail over the limit. */
      over: z.enum(['defer', 'reject', 'hold']).default('defer'),
    })
    .optional(),
  /** No later rule is looked at for these recipients. */
  stop: z.boolean().optional(),
});

const rule = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9][\w.-]{0,63}$/, 'takes letters, digits, "-", "_" and "."'),
  /** Applies to all mail where absent. */
  when: condition.optional(),
  /** Done in the order of this list; within one entry: score, tag, headers, recipients, route, limit, then the verdict. */
  do: oneOrMore(actions),
});

export type RuleActions = z.output<typeof actions>;
export type RuleConfig = z.output<typeof rule>;
export type AttachmentCondition = NonNullable<Simple['attachment']>;
export type HeaderCondition = NonNullable<Simple['header']>[number];

export const rulesSections = { rules: z.array(rule).max(1000).default([]) };
