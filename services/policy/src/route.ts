import { laneOf, matchRoute, parseTarget, type RouteConfig, routeId } from '@waypost/config';
import { domainOf, type JobRecipient, type LaneJob, type MessageMeta } from '@waypost/mail';
import { laneJobId } from '@waypost/queue';
import type { ShapingPlan, SiteFinder } from '@waypost/shaping';
import type { OpenRecipient } from './check.js';

/** Recipients one lane job carries (RFC 5321 §4.5.3.1.8). */
const RECIPIENTS_PER_JOB = 100;

export interface RouteDeps {
  readonly routes: readonly RouteConfig[];
  readonly plan: ShapingPlan;
  readonly sites: Pick<SiteFinder, 'find'>;
}

/** @returns the route that a message's recipient takes. */
export function routeOf({ envelope, origin, tags }: MessageMeta, domain: string, routes: readonly RouteConfig[]) {
  return matchRoute(routes, { domain, sender: domainOf(envelope.sender), tenant: origin.tenant, tags });
}

/** The octets that leave for some recipients. */
export type LeavingForm = Pick<LaneJob, 'ref' | 'prepend' | 'cut' | 'also'>;

/**
 * Chooses a lane for each recipient and makes the jobs: one for each lane and domain, in chunks of 100 recipients. The ids
 * are the same again for a replay, since recipients keep their places.
 */
export async function routeMessage(
  meta: MessageMeta,
  open: readonly OpenRecipient[],
  form: LeavingForm,
  deps: RouteDeps,
): Promise<{ jobId: string; job: LaneJob }[]> {
  const groups = new Map<string, { job: Omit<LaneJob, 'rcpts'>; rcpts: JobRecipient[] }>();
  const places = await placesOf(meta, open, form, deps);
  for (const { i, recipient } of open) {
    const place = places.get(domainOf(recipient.address));
    if (!place) continue;
    // Domains of one site share a lane, but not a transaction: their MX sets may part while the mail waits.
    const key = place.target.kind === 'mx' ? `${place.lane} ${place.target.domain}` : place.lane;
    let group = groups.get(key);
    if (!group) {
      group = { job: place, rcpts: [] };
      groups.set(key, group);
    }
    const { address, notify, orcpt } = recipient;
    group.rcpts.push({ i, to: address, ...(notify ? { notify } : {}), ...(orcpt ? { orcpt } : {}) });
  }
  return [...groups.values()].flatMap(({ job, rcpts }) =>
    chunks(rcpts).map((part) => ({
      // Numbered by its first recipient, so that the number does not shift when others become terminal.
      jobId: laneJobId(meta.id, part[0]?.i ?? 0),
      job: { ...job, rcpts: part },
    })),
  );
}

type Place = Omit<LaneJob, 'rcpts'>;

/** @returns what the jobs of each domain have in common; domains without a route are left out. */
async function placesOf(
  meta: MessageMeta,
  open: readonly OpenRecipient[],
  form: LeavingForm,
  { routes, plan, sites }: RouteDeps,
): Promise<Map<string, Place>> {
  const { tenant } = meta.origin;
  const { tags } = meta;
  const shared = common(meta, form);
  const domains = [...new Set(open.map(({ recipient }) => domainOf(recipient.address)))];
  const found = await Promise.all(
    domains.map(async (domain): Promise<[string, Place] | undefined> => {
      const route = routeOf(meta, domain, routes);
      if (!route) return undefined;
      const target = parseTarget(route.to, domain);
      const site = target.kind === 'mx' ? await sites.find(domain) : undefined;
      const { pool } = route;
      const lane = plan.lane({ base: site ?? laneOf(target), domain, tenant, tags, pool });
      return [domain, { ...shared, lane, target, route: routeId(route), ...(pool ? { pool } : {}) }];
    }),
  );
  return new Map(found.filter((entry) => entry !== undefined));
}

function common(meta: MessageMeta, form: LeavingForm): Omit<LaneJob, 'lane' | 'target' | 'route' | 'rcpts'> {
  const { sender, ret, envid, body, smtputf8, requireTls, tlsOptional } = meta.envelope;
  return {
    id: meta.id,
    sender,
    ...(ret ? { ret } : {}),
    ...(envid ? { envid } : {}),
    ...(body ? { body } : {}),
    ...(smtputf8 ? { smtputf8 } : {}),
    ...(requireTls ? { requireTls } : {}),
    ...(tlsOptional ? { tlsOptional } : {}),
    ...form,
    receivedAt: meta.receivedAt,
    ...(meta.origin.kind === 'mx' ? { inbound: true as const } : {}),
    ...(meta.origin.tenant ? { tenant: meta.origin.tenant } : {}),
    ...(meta.tags ? { tags: meta.tags } : {}),
    ...(meta.traceparent ? { traceparent: meta.traceparent } : {}),
  };
}

function chunks<T>(list: readonly T[]): T[][] {
  const parts: T[][] = [];
  for (let at = 0; at < list.length; at += RECIPIENTS_PER_JOB) parts.push(list.slice(at, at + RECIPIENTS_PER_JOB));
  return parts;
}
