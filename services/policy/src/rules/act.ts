import type { Rate } from '@waypost/config';
import { domainOf, type MessageMeta, type Reply } from '@waypost/mail';
import type { CheckContext, OpenRecipient, Verdict } from '../check.js';
import type { Action } from './compile.js';
import { filledIn, headerField } from './fold.js';

/** Counts what goes under a limit; an amount of 0 only looks. @returns how long until there is room, ms; 0 where there was. */
export type TakeCount = (key: string, rate: Rate, amount: number) => Promise<number>;

/** What the actions of a rule come to. */
export type Done = Exclude<Verdict, { kind: 'pass' }> | undefined;

/**
 * Does what one entry of a rule says, for the recipients that fit.
 * @param rcpts undefined where those are all of them.
 * @returns what ends the message for them, if anything does.
 */
export async function act(
  action: Action,
  { rule, fitting, rcpts }: { rule: string; fitting: readonly OpenRecipient[]; rcpts: readonly number[] | undefined },
  context: CheckContext,
  take: TakeCount,
): Promise<Done> {
  const { meta, findings } = context;
  if (action.score !== undefined) context.symbol(symbolOf(rule), action.score, `the rule ${rule}`);
  for (const tag of action.tag ?? []) {
    const [name = '', ...value] = tag.split('=');
    context.tag(name, value.join('='));
  }
  for (const test of action.removes) context.removeHeader(test, rcpts);
  for (const { name, value } of action.add_header ?? []) {
    context.addHeader(headerField(name, filledIn(value, meta, findings)), rcpts);
  }
  const stopped = await changeRecipients(action, fitting, context);
  if (stopped) return stopped;
  const { route: to, pool } = action;
  if (to !== undefined || pool !== undefined) context.route({ to, pool }, rcpts);
  return (await limited(action, rule, fitting, context, take)) ?? verdictOf(action, rcpts);
}

const symbolOf = (rule: string) => `RULE_${rule.toUpperCase().replace(/[^A-Z0-9]/g, '_')}`;

/** The address that is written to instead must be one that may be written to. */
async function changeRecipients(
  { redirect, add_recipient: added = [] }: Action,
  fitting: readonly OpenRecipient[],
  context: CheckContext,
): Promise<Done> {
  const wanted = [...(redirect ? [redirect] : []), ...added];
  if (wanted.length === 0) return undefined;
  const suppressed = await context.suppressed(wanted);
  for (const address of added) if (!suppressed.has(address)) context.addRecipient(address);
  if (redirect === undefined) return undefined;
  const rcpts = fitting.map(({ i }) => i);
  if (!suppressed.has(redirect)) {
    context.redirect(redirect, rcpts);
    return undefined;
  }
  const reply = { code: 550, enhanced: '5.7.1', text: 'The address that this is redirected to is suppressed' };
  return { kind: 'reject', reply, rcpts, state: 'suppressed' };
}

async function limited(
  { limit }: Action,
  rule: string,
  fitting: readonly OpenRecipient[],
  { meta, dry }: CheckContext,
  take: TakeCount,
): Promise<Done> {
  if (!limit) return undefined;
  for (const [key, rcpts] of countsOf(limit.per, rule, fitting, meta)) {
    for (const rate of limit.rate) {
      if ((await take(`${key}:${rate.period}`, rate, dry ? 0 : 1)) === 0) continue;
      const text = `Over the limit of ${rate.limit} in ${rate.period / 1000} s`;
      if (limit.over === 'hold') return { kind: 'hold', reason: `${text} (rule ${rule})` };
      if (limit.over === 'defer') return { kind: 'defer', reason: `${text} (rule ${rule})` };
      return { kind: 'reject', reply: { code: 550, enhanced: '5.7.1', text }, rcpts };
    }
  }
  return undefined;
}

/** What is counted: one count a message, or one for each recipient or domain where the limit is by those. */
function countsOf(
  per: readonly string[],
  rule: string,
  fitting: readonly OpenRecipient[],
  { envelope, origin }: MessageMeta,
): Map<string, number[]> {
  const fixed: Record<string, string> = {
    sender: envelope.sender,
    sender_domain: domainOf(envelope.sender),
    credential: origin.credential ?? '',
    tenant: origin.tenant ?? '',
    remote: origin.remoteAddress ?? '',
  };
  const counts = new Map<string, number[]>();
  for (const { i, recipient } of fitting) {
    const one: Record<string, string> = {
      ...fixed,
      recipient: recipient.address,
      recipient_domain: domainOf(recipient.address),
    };
    const key = `rule:${rule}:${per.map((name) => (one[name] ?? '').toLowerCase()).join('|')}`;
    counts.set(key, [...(counts.get(key) ?? []), i]);
  }
  return counts;
}

function verdictOf({ reject, defer, hold }: Action, rcpts: readonly number[] | undefined): Done {
  if (reject) {
    const { code, enhanced, text } = reject;
    const reply: Reply = { code, enhanced, text };
    return { kind: 'reject', reply, ...(rcpts ? { rcpts } : {}) };
  }
  if (hold) return { kind: 'hold', reason: hold.reason, ...(hold.for === undefined ? {} : { for: hold.for }) };
  return defer === undefined ? undefined : { kind: 'defer', reason: defer };
}
