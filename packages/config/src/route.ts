import { createHash } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { matchDomain, type Target } from '@waypost/mail';
import type { RouteConfig } from './schema.js';

/** A route's `to` that cannot be understood. */
export class TargetError extends Error {}

const PORTS: Record<string, number> = { smtp: 25, smtps: 465, lmtp: 24 };

/**
 * Reads a route's `to`: `mx`, `sink`, `smtp://host[:port]`, `smtps://…`, `lmtp://host[:port]`, `lmtp:/socket`, `maildir:/path`.
 * @param domain the recipient's, for `mx`.
 * @throws TargetError that says what is allowed.
 */
export function parseTarget(to: string, domain: string): Target {
  if (to === 'mx') return { kind: 'mx', domain };
  if (to === 'sink') return { kind: 'sink' };
  if (to.startsWith('maildir:/')) return { kind: 'maildir', path: to.slice('maildir:'.length) };
  if (/^lmtp:\/[^/]/.test(to)) return { kind: 'lmtp-unix', path: to.slice('lmtp:'.length) };
  const match = /^(smtps?|lmtp):\/\/(\[[0-9a-f:.]+\]|[^\s/:@[\]]+)(?::(\d{1,5}))?\/?$/i.exec(to);
  if (!match?.[1] || !match[2] || Number(match[3] ?? 1) > 65535 || match[3] === '0') {
    throw new TargetError(
      `"${withoutCredentials(to)}" is no next hop; write mx, sink, smtp://host:port, smtps://host:port, lmtp://host:port, lmtp:/socket or maildir:/path`,
    );
  }
  const kind = match[1].toLowerCase() as 'smtp' | 'smtps' | 'lmtp';
  const host = match[2].toLowerCase().replace(/^\[|\]$/g, '');
  if (match[2].startsWith('[') && !isIPv6(host)) throw new TargetError(`"${to}" holds no IPv6 address in its brackets`);
  return { kind, host, port: Number(match[3] ?? PORTS[kind]) };
}

/** A password that was written into the URL must not reach a log. */
const withoutCredentials = (to: string) => to.replace(/\/\/.*@/, '//…@');

/** @returns the lane of a target: names that can stand in a Redis key. */
export function laneOf(target: Target): string {
  switch (target.kind) {
    case 'mx':
      return `mx:${short(target.domain)}`;
    case 'sink':
      return 'sink';
    case 'maildir':
    case 'lmtp-unix':
      return `${target.kind}:${createHash('sha256').update(target.path).digest('hex').slice(0, 16)}`;
    default:
      return `${target.kind}:${short(target.host)}:${target.port}`;
  }
}

/** @returns the name as it can stand in a Redis key: longer or odder ones go in by their hash. */
export function short(name: string): string {
  if (name.length <= 100 && /^[a-z0-9._~+-]+$/.test(name)) return name;
  return `${name.replace(/[^a-z0-9._-]/g, '_').slice(0, 60)}-${createHash('sha256').update(name).digest('hex').slice(0, 16)}`;
}

/** What a route may look at of a message. */
export interface RouteFacts {
  /** The recipient's. */
  readonly domain: string;
  /** The reverse-path's domain; '' for the null reverse-path. */
  readonly sender?: string;
  readonly tenant?: string | undefined;
  readonly tags?: readonly MessageTag[] | undefined;
}

export interface MessageTag {
  readonly name: string;
  readonly value: string;
}

/** @returns the first route that fits. */
export function matchRoute(routes: readonly RouteConfig[], facts: RouteFacts): RouteConfig | undefined {
  return routes.find(
    ({ match, tenant, tag, sender }) =>
      matchDomain(match, facts.domain) &&
      (tenant === undefined || tenant === facts.tenant) &&
      (tag === undefined || hasTag(facts.tags, tag)) &&
      (sender === undefined || matchDomain(sender, facts.sender ?? '')),
  );
}

/** @param wanted `name`, or `name=value`. */
export function hasTag(tags: readonly MessageTag[] | undefined, wanted: string): boolean {
  return tags?.some(({ name, value }) => wanted === name || wanted === `${name}=${value}`) === true;
}

/** @returns what tells a route from the others, to find it again in a configuration that was loaded anew. */
export function routeId({ match, tenant, tag, sender }: RouteConfig): string {
  const selectors = Object.entries({ tenant, tag, sender }).filter(([, value]) => value !== undefined);
  return [match, ...selectors.map(([name, value]) => `${name}=${value}`)].join(' ');
}
