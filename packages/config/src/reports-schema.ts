import { matchDomain } from '@waypost/mail';
import { z } from 'zod';
import { duration } from './units.js';

const kind = z.strictObject({
  send: z.boolean().default(true),
  /** Domains that get none: `example.com`, or `*.example.com` for all below it. */
  except: z.array(z.string()).default([]),
});

const reports = z.strictObject({
  /** The address that reports come from. Nothing is collected and nothing sent until it is set. */
  from: z.string().optional(),
  /** Who reports, in words; the host name where absent. */
  organization: z.string().optional(),
  /** Where to ask about a report; the address they come from where absent. */
  contact: z.string().optional(),
  /** After the end of a UTC day its reports are spread over this long. */
  window: duration.default(14_400_000),
  /** Reports may be uploaded to private and loopback addresses: whoever publishes a record in DNS names them. */
  private_addresses: z.boolean().default(false),
  /** To domains that ask for them: how TLS fared with their mail exchangers (RFC 8460). */
  tls: kind.prefault({}),
  /** To domains that ask for them: what mail in their name was authenticated (RFC 7489 §7.2). */
  dmarc: kind.prefault({}),
});

export const reportSections = { reports: reports.prefault({}) };

/** @returns whether a domain is to get its reports of a kind. */
export function reportsTo(settings: z.output<typeof reports>, name: 'tls' | 'dmarc', domain: string): boolean {
  const { send, except } = settings[name];
  return settings.from !== undefined && send && !except.some((pattern) => matchDomain(pattern, domain));
}
