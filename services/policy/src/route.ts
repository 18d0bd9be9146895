import { type BounceSettings, laneOf, matchRoute, parseTarget, type RouteConfig, routeId } from '@waypost/config';
import { ageFrom, domainOf, type JobRecipient, type LaneJob, type MessageMeta } from '@waypost/mail';
import { laneJobId } from '@waypost/queue';
import type { ShapingPlan, SiteFinder } from '@waypost/shaping';
import { returnPath } from '@waypost/verp';
import type { OpenRecipient, Via } from './check.js';

/** Recipients one lane job carries (RFC 5321 §4.5.3.1.8). */
const RECIPIENTS_PER_JOB = 100;

export interface RouteDeps {
  readonly routes: readonly RouteConfig[];
  readonly plan: ShapingPlan;
  readonly sites: Pick<SiteFinder, 'find'>;
  readonly bounces: BounceSettings;
}

/** @returns the route that a message's recipient takes. */
export function routeOf({ envelope, origin, tags }: MessageMeta, domain: string, routes: readonly RouteConfig[]) {
  return matchRoute(routes, { domain, sender: domainOf(envelope.sender), tenant: origin.tenant, tags });
}

/** The octets that leave for some recipients. */
export type LeavingForm = Pick<LaneJob, 'ref' | 'prepend' | 'cut' | 'also'>;

/**
 * Chooses a lane for each recipient and makes the jobs: one for each lane and domain, in chunks of 100 recipients, or one for
 * each recipient whose return path is his own: his transaction then counts as any. The ids are the same again for a replay,
 * since recipients keep their places.
 */
export async function routeMessage(
  meta: MessageMeta,
  open: readonly OpenRecipient[],
  form: LeavingForm,
  deps: RouteDeps,
): Promise<{ jobId: string; job: LaneJob }[]> {
  const groups = new Map<string, { job: Omit<LaneJob, 'rcpts'>; rcpts: JobRecipient[] }>();
  const places = await placesOf(meta, open, form, deps);
  for (const one of open) {
    const { i, recipient } = one;
    const place = places.get(wayOf(one));
    if (!place) continue;
    // Domains of one site share a lane, but not a transaction: their MX sets may part while the mail waits.
    const { lane, target, route, pool = '' } = place;
    const own = goesAlone(meta, recipient.address, place, deps.bounces) ? i : '';
    const key = [lane, target.kind === 'mx' ? target.domain : '', route, pool, own].join(' ');
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

/** @returns whether a recipient gets a return path, and so a transaction, that he shares with nobody. */
function goesAlone({ origin }: MessageMeta, to: string, { target, ...place }: Place, bounces: BounceSettings): boolean {
  const rewritten = target.kind === 'mx' || target.kind === 'smtp' || target.kind === 'smtps';
  return rewritten && origin.kind !== 'mx' && returnPath(bounces, { ...place, to })?.mode === 'recipient';
}

/** @returns what recipients have in common who go the same way. */
function wayOf({ recipient, via }: OpenRecipient): string {
  const domain = domainOf(recipient.address);
  return via ? `${domain} ${via.to ?? ''} ${via.pool ?? ''}` : domain;
}

/** @returns what the jobs of each way have in common; domains without a route are left out. */
async function placesOf(
  meta: MessageMeta,
  open: readonly OpenRecipient[],
  form: LeavingForm,
  { routes, plan, sites }: RouteDeps,
): Promise<Map<string, Place>> {
  const { tenant } = meta.origin;
  const { tags } = meta;
  const shared = common(meta, form);
  const ways = new Map(open.map((one) => [wayOf(one), one]));
  const found = await Promise.all(
    [...ways].map(async ([way, { recipient, via }]): Promise<[string, Place] | undefined> => {
      const domain = domainOf(recipient.address);
      const route = routeFor(meta, domain, via, routes);
      if (!route) return undefined;
      const target = parseTarget(route.to, domain);
      const site = target.kind === 'mx' ? await sites.find(domain) : undefined;
      const { pool } = route;
      const lane = plan.lane({ base: site ?? laneOf(target), domain, tenant, tags, pool });
      return [way, { ...shared, lane, target, route: route.id, ...(pool ? { pool } : {}) }];
    }),
  );
  return new Map(found.filter((entry) => entry !== undefined));
}

/**
 * @returns where a recipient's mail goes: by its route, or by a rule. A next hop that a rule names has the credentials and TLS
 *   settings of a route that leads there too, and else none.
 */
function routeFor(meta: MessageMeta, domain: string, via: Via | undefined, routes: readonly RouteConfig[]) {
  const route = via?.to === undefined ? routeOf(meta, domain, routes) : routes.find(({ to }) => to === via.to);
  const to = via?.to ?? route?.to;
  if (to === undefined) return undefined;
  return { to, pool: via?.pool ?? route?.pool, id: route ? routeId(route) : '' };
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
    receivedAt: ageFrom(meta),
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
