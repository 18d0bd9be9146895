import { type BounceSettings, bounceSecrets, hasTag, type MessageTag } from '@waypost/config';
import { domainOf, matchDomain } from '@waypost/mail';
import { readToken, signToken, type TokenSubject, timeOfId } from './token.js';

/** What of a message its return path may depend on. */
export interface PathFacts {
  readonly sender: string;
  readonly tenant?: string | undefined;
  readonly tags?: readonly MessageTag[] | undefined;
  /** The recipient. */
  readonly to: string;
}

/** Where bounces of a message come back to, and whether recipients share the way. */
export interface ReturnPath {
  readonly domain: string;
  readonly mode: 'message' | 'recipient';
}

const PREFIX = 'b-';

/** @returns the rewritten return path of mail of this kind; undefined where its sender stays as he is. */
export function returnPath(settings: BounceSettings, { sender, tenant, tags, to }: PathFacts): ReturnPath | undefined {
  // What is about a bounce never bounces (RFC 5321 §4.5.5).
  if (sender === '') return undefined;
  const rule = settings.rules.find(
    (one) =>
      matchDomain(one.match, domainOf(to)) &&
      (one.tenant === undefined || one.tenant === tenant) &&
      (one.tag === undefined || hasTag(tags, one.tag)) &&
      (one.sender === undefined || matchDomain(one.sender, domainOf(sender))),
  );
  const mode = rule?.verp ?? settings.verp;
  const domain = rule?.domain ?? settings.domain;
  return mode === 'off' || domain === undefined ? undefined : { domain: domain.toLowerCase(), mode };
}

/** @returns the token of a message and recipient; undefined where there is no secret. */
export function tokenOf(settings: BounceSettings, subject: TokenSubject): string | undefined {
  const [secret] = bounceSecrets(settings);
  return secret === undefined ? undefined : signToken(subject, secret);
}

/** @returns the address that bounces of a token's message come back to: 47 octets before the @. */
export const bounceAddress = (token: string, domain: string): string => `${PREFIX}${token}@${domain}`;

/** What is told of a message in its header, so that a report that returns it finds the way back too. */
export const TRACE_FIELD = 'X-Waypost-Trace';

/** An address that reports come to. */
export type ReportAddress =
  | { readonly kind: 'bounce'; readonly subject: TokenSubject }
  | { readonly kind: 'feedback' }
  /** At a return-path domain, and no token of ours or one too old. */
  | { readonly kind: 'unknown' };

/** @returns what an address is to reports; undefined where it has nothing to do with them. */
export function reportAddress(settings: BounceSettings, address: string, now = Date.now()): ReportAddress | undefined {
  const lower = address.toLowerCase();
  if (settings.feedback.some((one) => one.toLowerCase() === lower)) return { kind: 'feedback' };
  const domain = domainOf(lower);
  const ours = [settings, ...settings.rules].some((one) => one.domain?.toLowerCase() === domain);
  if (!ours || domain === '') return undefined;
  const local = lower.slice(0, -domain.length - 1);
  // Everyone may write there (RFC 5321 §4.5.1, RFC 2142).
  if (local === 'postmaster' || local === 'abuse') return { kind: 'feedback' };
  const subject = local.startsWith(PREFIX) ? subjectOf(settings, local.slice(PREFIX.length), now) : undefined;
  return subject ? { kind: 'bounce', subject } : { kind: 'unknown' };
}

/** @returns what a token stands for; undefined where it is none of ours, or too old. */
export function subjectOf(settings: BounceSettings, token: string, now = Date.now()): TokenSubject | undefined {
  const subject = readToken(token, bounceSecrets(settings));
  return subject && now - timeOfId(subject.id) <= settings.valid_for ? subject : undefined;
}

/** @returns what the first good token in a text stands for, such as in a Return-Path or an `X-Waypost-Trace`. */
export function subjectIn(settings: BounceSettings, text: string, now = Date.now()): TokenSubject | undefined {
  for (const [word] of text.slice(0, 4_000).matchAll(/(?<![a-z2-7])[a-z2-7]{45}(?![a-z2-7])/gi)) {
    const subject = subjectOf(settings, word, now);
    if (subject) return subject;
  }
  return undefined;
}
