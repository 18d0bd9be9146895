import { z } from 'zod';
import { duration } from './units.js';

const dkim = z.strictObject({
  /** RSA keys with fewer bits do not count. */
  min_bits: z.int().min(1024).default(1024),
  /** Signatures of a message that are verified; the first ones. */
  max_signatures: z.int().min(1).max(50).default(10),
  /** A signature may leave out the end of the body (l=), to which anyone can then add. */
  partial_body: z.boolean().default(false),
});

const dmarc = z.strictObject({
  /** How the organisation of a domain is found: by the Public Suffix List (RFC 7489), or by records in DNS (RFC 9989). */
  org_domain: z.enum(['psl', 'tree_walk']).default('psl'),
  /** What becomes of mail that its author's domain wants refused ... */
  on_reject: z.enum(['reject', 'hold', 'tag', 'nothing']).default('reject'),
  /** ... or quarantined: tagged `dmarc=quarantine`, for routes and rules, unless set otherwise. */
  on_quarantine: z.enum(['reject', 'hold', 'tag', 'nothing']).default('tag'),
  /** Domains whose ARC seals are believed: what they saw pass is not refused. */
  trusted_sealers: z.array(z.string()).default([]),
  /** Domains of mailing lists: what passes SPF for a return address in one of them is not refused. */
  mailing_lists: z.array(z.string()).default([]),
  /** Networks of hosts that forward our users' mail, from which nothing is refused. */
  trusted_forwarders: z.array(z.string()).default([]),
});

const auth = z.strictObject({
  /** Our name in Authentication-Results; the host name where absent. All hosts of a site may share one. */
  authserv_id: z.string().optional(),
  /** Adds a Received-SPF field too (RFC 7208 §9.1). */
  received_spf: z.boolean().default(false),
  /** For one question to DNS. */
  dns_timeout: duration.default(5_000),
  /** What becomes of mail whose DMARC result is not to be had for now. */
  on_temperror: z.enum(['accept', 'defer']).default('accept'),
  dkim: dkim.prefault({}),
  dmarc: dmarc.prefault({}),
});

export const authSections = { auth: auth.prefault({}) };
export type AuthConfig = z.output<typeof auth>;
