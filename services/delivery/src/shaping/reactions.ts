import { adjust, strike } from '@waypost/queue';
import type { Command } from '@waypost/redis';
import type { CompiledReplyRule, LaneTerms, Offer } from '@waypost/shaping';
import type { Result, TargetOutcome } from '../target.js';
import type { ShapeState } from './state.js';

/**
 * What an attempt's replies mean for those to come: the first rule that fits a reply is counted and may act, and trouble
 * with the host lets it have fewer sessions. The commands go with the record of the outcome, at no round trip of their own.
 */
export function reactions(terms: LaneTerms, offer: Offer, outcome: TargetOutcome, shape: ShapeState): Command[] {
  const commands: Command[] = [];
  const said = outcome.results.filter(({ remote, result }) => remote && result !== 'delivered');
  const met = firstMet(terms.replies, said);
  if (met) commands.push(toStrike(met.rule, met.result, terms, offer));
  return [...commands, ...feedback(offer, outcome, shape)];
}

function firstMet(rules: LaneTerms['replies'], results: readonly Result[]) {
  for (const result of results) {
    const rule = rules.find(({ matches }) => matches(result.reply));
    if (rule) return { rule, result };
  }
  return undefined;
}

function toStrike({ rule, id }: CompiledReplyRule, { reply }: Result, terms: LaneTerms, offer: Offer): Command {
  const place = terms.provider ? `provider:${terms.provider}` : `site:${terms.name.base}`;
  const source = rule.scope === 'source' || rule.action === 'reroute' ? offer.source : undefined;
  const status = [reply.code, reply.enhanced, reply.text.split('\n')[0]].filter(Boolean).join(' ');
  return strike({
    scope: source ? `${place}|${source.name}` : place,
    rule: id,
    after: rule.after,
    action: rule.action === 'slow' ? 'slow' : 'suspend',
    duration: rule.for,
    reason: `the remote said: ${status.slice(0, 200)}`,
    slow: {
      ...(rule.rate ? { rates: rule.rate } : {}),
      ...(rule.connections ? { connections: rule.connections } : {}),
    },
  });
}

/** Additive increase, multiplicative decrease of the sessions a site gets from this source. */
function feedback({ limits }: Offer, { results, hostTrouble }: TargetOutcome, shape: ShapeState): Command[] {
  const [site] = limits;
  if (!site?.connections) return [];
  if (hostTrouble) {
    shape.narrowed(site.key);
    return [adjust(site.key, site.connections, false)];
  }
  const well = results.some(({ result }) => result === 'delivered');
  return well && shape.succeeded(site.key, site.connections) ? [adjust(site.key, site.connections, true)] : [];
}
