import type { ExplainedStep, Explanation, Uncommitted } from '@waypost/inline';
import { formatReply, type MessageRecord } from '@waypost/mail';
import { planOf } from '@waypost/shaping';
import type { Verdict } from '../check.js';
import type { Step } from '../evaluate.js';
import { routeForms } from '../route-forms.js';
import type { PolicyPortDeps } from './deps.js';

/** Runs the checks over a message without keeping anything, and tells of each step. */
export async function explain(
  { body }: Uncommitted,
  record: MessageRecord,
  { judge, config, spool, sites }: PolicyPortDeps,
): Promise<Explanation> {
  const steps: ExplainedStep[] = [];
  const { meta } = record;
  const options = {
    dry: true,
    onStep: (step: Step) => void steps.push(explained(step)),
    read: body ? async () => body : () => spool.read(meta.id, meta.body),
  };
  return judge.judge(record, options, async (evaluation) => {
    const { kind, reason, open, refused, findings, added } = evaluation;
    const leaving = await judge.leaving(record, evaluation, { dry: true });
    const { routes, bounces } = config();
    const jobs =
      kind === 'pass'
        ? await routeForms(record, evaluation, leaving, { routes, bounces, plan: planOf(config()), sites })
        : [];
    const everyone = [...meta.envelope.recipients, ...added].map(({ address }) => address);
    const addresses = new Map(open.map(({ i, recipient }) => [i, recipient.address]));
    return {
      verdict: open.length === 0 ? 'reject' : kind,
      ...(reason ? { reason } : {}),
      score: findings.score,
      steps,
      refused: refused.map(({ i, state, reply }) => ({ recipient: everyone[i] ?? '', state, reply })),
      leaves: leaving.forms.map(({ rcpts, ref, prepend = '', cut = [] }) => {
        const mine = jobs.filter(({ job }) => job.rcpts.some(({ i }) => rcpts.includes(i)));
        return {
          recipients: rcpts.flatMap((i) => addresses.get(i) ?? []),
          added_headers: fieldsOf(prepend),
          removed_headers: cut.length,
          replaced: ref.variant !== undefined,
          lanes: [...new Set(mine.map(({ job }) => job.lane))],
          routes: [...new Set(mine.map(({ job }) => job.route))],
        };
      }),
      tags: findings.tags,
      facts: findings.stored().facts,
    };
  });
}

function explained({ check, verdict, milliseconds, notes, symbols, headers }: Step): ExplainedStep {
  const text = textOf(verdict);
  return {
    check,
    verdict: verdict.kind,
    ...(text ? { text } : {}),
    milliseconds: Math.round(milliseconds * 1000) / 1000,
    symbols,
    notes,
    headers: fieldsOf(headers),
  };
}

function textOf(verdict: Verdict): string | undefined {
  if (verdict.kind === 'reject') return formatReply(verdict.reply);
  return verdict.kind === 'pass' ? undefined : verdict.reason;
}

/** @returns fields one by one, folded as they are. */
const fieldsOf = (header: string) => header.split(/\r\n(?![ \t])/).filter((field) => field !== '');
