import { hasTag } from '@waypost/config';
import { domainOf, type LaneJob, matchDomain } from '@waypost/mail';
import { parseLane } from './lane-name.js';

/** Which mail is meant; all that is given must fit, and an empty one fits all. */
export interface MailMatch {
  /** The site as lanes name it, such as `mx:mx.example.net`, or the whole name of a lane. */
  readonly site?: string | undefined;
  /** Of a recipient: `example.com`, `*.example.com`. */
  readonly domain?: string | undefined;
  readonly tenant?: string | undefined;
  /** The envelope's sender, or `@example.com` for a domain. */
  readonly sender?: string | undefined;
  /** `name` or `name=value`. */
  readonly tag?: string | undefined;
}

/** @returns whether a lane can hold what is meant. */
export function fitsLane(lane: string, { site }: MailMatch): boolean {
  return site === undefined || site === lane || site === parseLane(lane).base;
}

/** @returns whether a job is what is meant, its lane aside. */
export function fitsMail(job: LaneJob, { domain, tenant, sender, tag }: MailMatch): boolean {
  return (
    (tenant === undefined || job.tenant === tenant) &&
    (tag === undefined || hasTag(job.tags, tag)) &&
    (sender === undefined || fitsSender(job.sender, sender)) &&
    (domain === undefined || job.rcpts.some(({ to }) => matchDomain(domain, domainOf(to))))
  );
}

function fitsSender(address: string, wanted: string): boolean {
  const [one, other] = [address.toLowerCase(), wanted.toLowerCase()];
  return other.startsWith('@') ? matchDomain(other.slice(1), domainOf(one)) : one === other;
}
