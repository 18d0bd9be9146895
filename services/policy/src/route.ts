import { laneOf, matchRoute, parseTarget, type RouteConfig } from '@waypost/config';
import { domainOf, type JobRecipient, type LaneJob, type MessageMeta } from '@waypost/mail';
import { laneJobId } from '@waypost/queue';
import type { OpenRecipient } from './check.js';

/** Recipients one lane job carries (RFC 5321 §4.5.3.1.8). */
const RECIPIENTS_PER_JOB = 100;

export function hasRoute(routes: readonly RouteConfig[], domain: string): boolean {
  return matchRoute(routes, domain) !== undefined;
}

/**
 * Chooses a lane for each recipient and makes the jobs: one a lane, in chunks of 100 recipients. The ids are the same
 * again for a replay, since recipients keep their places.
 */
export function routeMessage(
  meta: MessageMeta,
  open: readonly OpenRecipient[],
  routes: readonly RouteConfig[],
  prepend: string,
): { jobId: string; job: LaneJob }[] {
  const lanes = new Map<string, { job: Omit<LaneJob, 'rcpts'>; rcpts: JobRecipient[] }>();
  for (const { i, recipient } of open) {
    const domain = domainOf(recipient.address);
    const route = matchRoute(routes, domain);
    if (!route) continue;
    const target = parseTarget(route.to, domain);
    const lane = laneOf(target);
    let entry = lanes.get(lane);
    if (!entry) {
      entry = { job: { ...common(meta, prepend), lane, target, route: route.match }, rcpts: [] };
      lanes.set(lane, entry);
    }
    const { address, notify, orcpt } = recipient;
    entry.rcpts.push({ i, to: address, ...(notify ? { notify } : {}), ...(orcpt ? { orcpt } : {}) });
  }
  return [...lanes.values()].flatMap(({ job, rcpts }) =>
    chunks(rcpts).map((part) => ({
      // Numbered by its first recipient, so that the number does not shift when others become terminal.
      jobId: laneJobId(meta.id, part[0]?.i ?? 0),
      job: { ...job, rcpts: part },
    })),
  );
}

function common(meta: MessageMeta, prepend: string): Omit<LaneJob, 'lane' | 'target' | 'route' | 'rcpts'> {
  const { sender, ret, envid, body, smtputf8, requireTls } = meta.envelope;
  return {
    id: meta.id,
    sender,
    ...(ret ? { ret } : {}),
    ...(envid ? { envid } : {}),
    ...(body ? { body } : {}),
    ...(smtputf8 ? { smtputf8 } : {}),
    ...(requireTls ? { requireTls } : {}),
    ref: meta.body,
    ...(prepend ? { prepend } : {}),
    receivedAt: meta.receivedAt,
    ...(meta.traceparent ? { traceparent: meta.traceparent } : {}),
  };
}

function chunks<T>(list: readonly T[]): T[][] {
  const parts: T[][] = [];
  for (let at = 0; at < list.length; at += RECIPIENTS_PER_JOB) parts.push(list.slice(at, at + RECIPIENTS_PER_JOB));
  return parts;
}
