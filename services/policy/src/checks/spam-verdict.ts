import type { SpamConfig, SpamThresholds } from '@waypost/config';
import { type Check, type CheckContext, PASS, type Verdict } from '../check.js';
import type { FoundSymbol } from '../findings.js';
import { concerns, type FilterDeps, plain } from './filter.js';

type Action = 'reject' | 'hold' | 'tag' | 'pass';

/** Decides by the score of all checks before it; says in the header of what goes on how it came about. */
export function spamVerdictCheck({ config, runtime }: FilterDeps): Check {
  return {
    name: 'spam-verdict',
    run: (context) => {
      const { spam, telemetry } = config();
      if (!concerns(context, spam)) return PASS;
      const limits = thresholdsOf(spam, context.meta.origin.tenant);
      const { score, symbols } = context.findings;
      const action = actionOf(score, limits);
      runtime.metrics.spamVerdicts.inc({ action });
      runtime.metrics.spamScore.observe(score);
      const why = [...symbols].sort(byWeight);
      if (action !== 'pass') {
        // Reasons quote the message: its subject, and names of people.
        const quoted = telemetry.pii === 'full';
        const list = why.map(
          ({ name, score: points, reason }) => `${name} ${points.toFixed(1)}${quoted ? `: ${reason}` : ''}`,
        );
        runtime.log.info({ id: context.meta.id, action, score: round(score), symbols: list }, 'spam verdict');
      }
      return carryOut(context, spam, { action, score, why, required: limits.tag });
    },
  };
}

interface Decision {
  readonly action: Action;
  readonly score: number;
  readonly why: readonly FoundSymbol[];
  readonly required: number;
}

function carryOut(context: CheckContext, spam: SpamConfig, decision: Decision): Verdict {
  const { action, score, why } = decision;
  if (action === 'reject') {
    return { kind: 'reject', reply: { code: 554, enhanced: '5.7.1', text: plain(spam.reject_text) } };
  }
  if (action === 'hold') {
    const most = why.slice(0, 5).map((symbol) => `${symbol.name} ${symbol.score.toFixed(1)}`);
    return { kind: 'hold', reason: `spam score ${score.toFixed(1)}: ${most.join(', ')}` };
  }
  if (action === 'tag') context.tag('spam');
  if (spam.headers.enabled) writeHeaders(context, spam, decision);
  return PASS;
}

/** @returns the tenant's thresholds, where they have their own. */
function thresholdsOf({ thresholds, tenants }: SpamConfig, tenant: string | undefined): SpamThresholds {
  const own = tenant === undefined || !Object.hasOwn(tenants, tenant) ? {} : tenants[tenant];
  const given = Object.entries(own ?? {}).filter(([, value]) => value !== undefined);
  return { ...thresholds, ...Object.fromEntries(given) };
}

function actionOf(score: number, { reject, hold, tag }: SpamThresholds): Action {
  if (score >= reject) return 'reject';
  if (score >= hold) return 'hold';
  return score >= tag ? 'tag' : 'pass';
}

const byWeight = (one: FoundSymbol, other: FoundSymbol) => Math.abs(other.score) - Math.abs(one.score);
const round = (score: number) => Math.round(score * 10) / 10;

/** Fields by which other filters mark mail: programs behind us must not believe those of strangers. */
const MARKS = ['x-spam-flag', 'x-spam-level', 'x-spam'];

function writeHeaders(
  context: CheckContext,
  { headers }: SpamConfig,
  { action, score, why, required }: Decision,
): void {
  const { status, score: scoreName, symbols } = headers;
  const ours = new Set([status, scoreName, symbols].map((name) => name.toLowerCase()).concat(MARKS));
  context.removeHeader((name) => ours.has(name));
  const list = why.map((symbol) => `${symbol.name}(${symbol.score.toFixed(1)})`);
  if (list.length > 0) context.addHeader(folded(symbols, list));
  context.addHeader(`${scoreName}: ${score.toFixed(1)}`);
  const needed = Number.isFinite(required) ? ` required=${required.toFixed(1)}` : '';
  context.addHeader(`${status}: ${action === 'tag' ? 'Yes' : 'No'}, score=${score.toFixed(1)}${needed}`);
}

const WIDTH = 78;

/** @returns a field with a list, folded between its entries (RFC 5322 §2.2.3). */
function folded(name: string, list: readonly string[]): string {
  const lines = [`${name}:`];
  for (const [at, entry] of list.entries()) {
    const text = at === list.length - 1 ? entry : `${entry},`;
    const last = lines.length - 1;
    if ((lines[last]?.length ?? 0) + text.length < WIDTH) lines[last] += ` ${text}`;
    else lines.push(`\t${text}`);
  }
  return lines.join('\r\n');
}
