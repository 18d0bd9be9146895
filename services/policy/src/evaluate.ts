import type { FoundSymbol, MessageRecord, Recipient } from '@waypost/mail';
import type { Check, CheckContext, OpenRecipient, Verdict } from './check.js';
import type { Collected } from './findings.js';
import type { Form } from './form.js';
import { type ContextParts, EvaluationState, type Refusal } from './state.js';

/** What all checks together say of a message. */
export interface Evaluation {
  /** What becomes of the recipients that are left. */
  readonly kind: 'pass' | 'hold' | 'defer';
  readonly reason?: string;
  /** The check that held or deferred it. */
  readonly by?: string;
  /** How long it is to be held, ms. */
  readonly holdFor?: number;
  /** Recipients to route, hold or defer. */
  readonly open: readonly OpenRecipient[];
  readonly refused: readonly Refusal[];
  /** The forms in which the message leaves; each open recipient is in one of them. */
  readonly forms: readonly Form[];
  readonly findings: Collected;
  /** Recipients that rules added: those after the envelope's. */
  readonly added: readonly Recipient[];
  /** Names of the checks that it is through. */
  readonly done: readonly string[];
}

/** One step of an evaluation, for a person. */
export interface Step {
  readonly check: string;
  readonly verdict: Verdict;
  readonly milliseconds: number;
  readonly notes: readonly string[];
  /** What it found. */
  readonly symbols: readonly FoundSymbol[];
  /** Header fields it added. */
  readonly headers: string;
}

export interface EvaluateOptions {
  readonly onError: (error: Error, check: string) => void;
  /** Told of each step; dry runs print them. */
  readonly onStep?: ((step: Step) => void) | undefined;
}

/**
 * Runs the checks in order over the recipients that are not terminal yet; a hold or a deferral ends it. Where an earlier
 * judgement is on record, only those are run that it had not come to.
 */
export async function evaluate(
  record: MessageRecord,
  checks: readonly Check[],
  parts: ContextParts,
  { onError, onStep }: EvaluateOptions,
): Promise<Evaluation> {
  let notes: string[] = [];
  const state = new EvaluationState(record, parts, onStep ? (text) => notes.push(text) : () => undefined);
  const hold = record.judged?.hold;
  if (hold) return { ...result(state), kind: 'hold', reason: hold.reason, by: hold.by };
  for (const check of checks) {
    if (state.open.length === 0) break;
    if (state.done.includes(check.name)) continue;
    // A check may split a form; what it made of it is not looked at by the same check again.
    for (const form of [...state.forms]) {
      const context = state.context(form);
      if (context.open.length === 0) continue;
      const started = onStep ? performance.now() : 0;
      const before = { symbols: state.findings.symbols.length, prepend: form.prepend };
      const answer = run(check, context, onError);
      const verdict = answer instanceof Promise ? await answer : answer;
      onStep?.({
        check: check.name,
        verdict,
        milliseconds: performance.now() - started,
        notes,
        symbols: state.findings.symbols.slice(before.symbols),
        headers: form.prepend.slice(0, form.prepend.length - before.prepend.length),
      });
      notes = [];
      if (verdict.kind === 'defer') return { ...result(state), ...verdict, by: check.name };
      if (verdict.kind === 'hold') {
        state.done.push(check.name);
        const { kind, reason, for: holdFor } = verdict;
        return { ...result(state), kind, reason, by: check.name, ...(holdFor === undefined ? {} : { holdFor }) };
      }
      if (verdict.kind === 'reject') state.refuse(verdict, context.open);
    }
    state.done.push(check.name);
  }
  return { ...result(state), kind: 'pass' };
}

/** A check that throws defers the message. */
function run(check: Check, context: CheckContext, onError: EvaluateOptions['onError']): Verdict | Promise<Verdict> {
  const failed = (error: unknown): Verdict => {
    onError(error as Error, check.name);
    return { kind: 'defer', reason: `the check ${check.name} failed` };
  };
  try {
    const answer = check.run(context);
    return answer instanceof Promise ? answer.catch(failed) : answer;
  } catch (error) {
    return failed(error);
  }
}

const result = ({ open, refused, forms, findings, added, done }: EvaluationState) => ({
  open,
  refused,
  forms,
  findings,
  added,
  done,
});
