import { hasTag } from '@waypost/config';
import { domainOf, type LaneJob, matchDomain } from '@waypost/mail';
import { parseLane } from '@waypost/shaping';
import { z } from 'zod';

const age = z.coerce.number().int().min(0);

/** Which mail in the lanes is meant; all that is given must fit. */
export const matchSchema = z.strictObject({
  /** The site as lanes name it, such as `mx:mx.example.net`, or the whole name of a lane. */
  site: z.string().max(300).optional(),
  /** Of a recipient: `example.com`, `*.example.com`. */
  domain: z.string().max(255).optional(),
  tenant: z.string().max(255).optional(),
  /** The envelope's sender, or `@example.com` for a domain. */
  sender: z.string().max(255).optional(),
  /** `name` or `name=value`. */
  tag: z.string().max(600).optional(),
  status: z.enum(['waiting', 'deferred', 'active']).optional(),
  /** Seconds since it was received, at least. */
  older_than: age.optional(),
});
export type Match = z.output<typeof matchSchema>;

export type JobStatus = NonNullable<Match['status']>;

/** @returns whether a lane can hold what is meant. */
export function fitsLane(lane: string, { site }: Match): boolean {
  return site === undefined || site === lane || site === parseLane(lane).base;
}

export function fitsJob(job: LaneJob, status: JobStatus, match: Match, now: number): boolean {
  const { domain, tenant, sender, tag, older_than } = match;
  return (
    (match.status === undefined || match.status === status) &&
    (tenant === undefined || job.tenant === tenant) &&
    (tag === undefined || hasTag(job.tags, tag)) &&
    (sender === undefined || fitsSender(job.sender, sender)) &&
    (domain === undefined || job.rcpts.some(({ to }) => matchDomain(domain, domainOf(to)))) &&
    (older_than === undefined || now - job.receivedAt >= older_than * 1000)
  );
}

function fitsSender(address: string, wanted: string): boolean {
  const [one, other] = [address.toLowerCase(), wanted.toLowerCase()];
  return other.startsWith('@') ? matchDomain(other.slice(1), domainOf(one)) : one === other;
}
