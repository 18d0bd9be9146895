import type { HoldNote, Judgement, MessageMeta } from '@waypost/mail';
import type { Evaluation } from './evaluate.js';
import type { Leaving } from './judge.js';

/** @returns an evaluation in the form in which it is stored, to go on from there later. */
export function toJudgement(
  { meta, added: before = 0 }: { readonly meta: MessageMeta; readonly added?: number },
  { open, refused, findings, added, done }: Evaluation,
  { forms }: Leaving,
  hold?: HoldNote,
): Judgement {
  const { recipients } = meta.envelope;
  const changed = open.filter(
    ({ i, recipient, via }) => via !== undefined || recipient !== [...recipients, ...added][i],
  );
  return {
    done,
    ...(hold ? { hold } : {}),
    forms,
    refused,
    changed,
    added: [...recipients.slice(recipients.length - before), ...added],
    findings: findings.stored(),
  };
}
