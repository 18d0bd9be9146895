import { z } from 'zod';
import { duration } from './units.js';

/** Milliseconds since the epoch, from a day (its beginning in UTC) or a time: `2026-11-01`, `2026-11-01T08:00:00Z`. */
const moment = z.string().transform((text, ctx) => {
  const at = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2}))?$/.test(text) ? Date.parse(text) : NaN;
  if (!Number.isNaN(at)) return at;
  ctx.addIssue({ code: 'custom', message: `"${text}" is no date; write such as 2026-11-01 or 2026-11-01T08:00:00Z` });
  return z.NEVER;
});

const dkimKey = z.strictObject({
  /** The record with the public key is at `<selector>._domainkey.<domain>`. */
  selector: z.string(),
  /** PEM; `key_file` names a file with it. */
  key: z.string(),
  /** Signs from this time on. */
  from: moment.optional(),
  /** Signs no more from this time on. */
  until: moment.optional(),
  /** The selector of the key that this one takes over from. */
  replaces: z.string().optional(),
  /** One that replaces another waits until its record is seen in DNS; the other signs until then. */
  wait_for_dns: z.boolean().default(true),
});

const dkimDomain = z.strictObject({
  /** The sender's domain: `example.com`, `*.example.com` or `*`. */
  match: z.string(),
  /** Only mail of this tenant. */
  tenant: z.string().optional(),
  /** `d=` of the signature; the sender's own domain where absent. */
  domain: z.string().optional(),
  /** Lets later entries that match sign too. */
  continue: z.boolean().default(false),
  /** All whose time it is sign. */
  keys: z.array(dkimKey).min(1),
});

const names = (list: readonly string[]) =>
  z
    .array(z.string())
    .default([...list])
    .transform((given) => given.map((name) => name.toLowerCase()));

/** Those that say what a message is (RFC 6376 §5.4.1), without what is changed on the way. */
const SIGNED = [
  ...['from', 'sender', 'reply-to', 'to', 'cc', 'subject', 'date', 'message-id', 'in-reply-to', 'references'],
  ...['mime-version', 'content-type', 'content-transfer-encoding', 'content-disposition', 'content-id'],
  ...['resent-from', 'resent-to', 'resent-date', 'resent-message-id', 'autocrypt'],
  ...['list-id', 'list-unsubscribe', 'list-unsubscribe-post', 'list-post', 'list-help', 'list-archive'],
];

const dkim = z.strictObject({
  /** The first entry that matches signs. */
  domains: z.array(dkimDomain).default([]),
  /** What becomes of a message that ought to be signed and cannot be. */
  on_error: z.enum(['defer', 'unsigned']).default('defer'),
  /** Time after which signatures are void; never where absent. */
  lifetime: duration.optional(),
  /** Header fields that are signed where they are there. */
  signed: names(SIGNED),
  /** Of these, those that nobody may add. */
  oversigned: names(['from', 'to', 'cc', 'subject', 'reply-to']),
  /** Of these, those that nobody may add where they are there already. */
  sealed: names(['sender', 'date', 'message-id', 'mime-version', 'content-type', 'content-transfer-encoding']),
});

const seal = z.strictObject({
  /** `d=` of seals: the domain that vouches for what it found. */
  domain: z.string(),
  selector: z.string(),
  /** PEM; `key_file` names a file with it. */
  key: z.string(),
  /** Domains of recipients whose mail is sealed. */
  recipients: z.array(z.string()).default(['*']),
  /** Header fields that are signed where they are there. */
  signed: names([...SIGNED, 'dkim-signature']),
});

export type ArcSettings = z.output<typeof seal>;
export type DkimSettings = z.output<typeof dkim>;
export type DkimDomain = DkimSettings['domains'][number];

export const signingSections = {
  dkim: dkim.prefault({}),
  arc: z.strictObject({ /** Mail from outside is sealed where this is given. */ seal: seal.optional() }).prefault({}),
};
