import type { MessageRecord, Reply } from '@waypost/mail';
import { isTerminal } from '@waypost/mail';
import { type ParsedMail, parseMail } from '@waypost/mime';
import type { Check, CheckContext, OpenRecipient, Verdict } from './check.js';
import { Collected, type Findings } from './findings.js';
import { Form, type Source } from './form.js';

/** How a recipient may end here. */
export type Refused = 'rejected' | 'suppressed' | 'expired';

/** What all checks together say of a message. */
export interface Evaluation {
  /** What becomes of the recipients that are left. */
  readonly kind: 'pass' | 'hold' | 'defer';
  readonly reason?: string;
  /** Recipients to route, hold or defer. */
  readonly open: readonly OpenRecipient[];
  readonly refused: readonly { readonly i: number; readonly reply: Reply; readonly state: Refused }[];
  /** The forms in which the message leaves; each open recipient is in one of them. */
  readonly forms: readonly Form[];
  readonly findings: Findings;
}

export interface ContextParts extends Pick<CheckContext, 'suppressed'>, Source {
  /** Scores of symbols in place of what checks give them. */
  scores(): Readonly<Record<string, number>>;
}

/** How an evaluation stands. */
interface State {
  readonly record: MessageRecord;
  readonly parts: ContextParts;
  readonly findings: Collected;
  readonly refused: Evaluation['refused'][number][];
  open: OpenRecipient[];
  forms: Form[];
  readonly parsed: WeakMap<Buffer, ParsedMail>;
}

/**
 * Runs the checks in order over the recipients that are not terminal yet; a hold or a deferral ends it.
 * A check that throws defers the message.
 */
export async function evaluate(
  record: MessageRecord,
  checks: readonly Check[],
  parts: ContextParts,
  onError: (error: Error, check: string) => void,
): Promise<Evaluation> {
  const open = record.meta.envelope.recipients
    .map((recipient, i) => ({ i, recipient }))
    .filter(({ i }) => !isTerminal(record.recipients[i]?.state ?? 'accepted'));
  const findings = new Collected(record.meta.tags);
  const forms = [new Form(new Set(open.map(({ i }) => i)), parts)];
  const state: State = { record, parts, findings, refused: [], open, forms, parsed: new WeakMap() };
  for (const check of checks) {
    // A check may split a form; what it made of it is not looked at by the same check again.
    for (const form of [...state.forms]) {
      const context = contextOf(form, state);
      if (context.open.length === 0) continue;
      let verdict: Verdict;
      try {
        const answer = check.run(context);
        verdict = answer instanceof Promise ? await answer : answer;
      } catch (error) {
        onError(error as Error, check.name);
        verdict = { kind: 'defer', reason: `the check ${check.name} failed` };
      }
      if (verdict.kind === 'hold' || verdict.kind === 'defer') {
        return { ...result(state), kind: verdict.kind, reason: verdict.reason };
      }
      if (verdict.kind === 'reject') refuse(verdict, context.open, state);
    }
    if (state.open.length === 0) break;
  }
  return { ...result(state), kind: 'pass' };
}

const result = ({ open, refused, forms, findings }: State) => ({ open, refused, forms, findings });

function refuse(
  { reply, rcpts, state: end = 'rejected' }: Extract<Verdict, { kind: 'reject' }>,
  about: readonly OpenRecipient[],
  state: State,
): void {
  const hit = new Set(about.map(({ i }) => i).filter((i) => !rcpts || rcpts.includes(i)));
  for (const i of hit) state.refused.push({ i, reply, state: end });
  state.open = state.open.filter(({ i }) => !hit.has(i));
}

function parsedOnce(message: Buffer, known: WeakMap<Buffer, ParsedMail>): ParsedMail {
  const before = known.get(message);
  if (before) return before;
  const mail = parseMail(message);
  known.set(message, mail);
  return mail;
}

function contextOf(form: Form, state: State): CheckContext {
  const { record, parts, findings } = state;
  // Those of the form as the check found it.
  const ours = form.rcpts;
  return {
    meta: record.meta,
    findings,
    get open() {
      return state.forms.length === 1 ? state.open : state.open.filter(({ i }) => ours.has(i));
    },
    symbol: (name, score, reason) => findings.add({ name, score: parts.scores()[name] ?? score, reason }),
    tag: (name, value = '') => findings.tag(name, value),
    addHeader: (field, rcpts) => {
      for (const one of formsFor(ours, rcpts, state)) one.prepend = `${field}\r\n${one.prepend}`;
    },
    removeHeader: (test, rcpts) => {
      for (const one of formsFor(ours, rcpts, state)) one.remove(test);
    },
    rewrite: (body, rcpts) => {
      for (const one of formsFor(ours, rcpts, state)) one.replaced = body;
    },
    body: () => form.body(),
    message: () => form.message(),
    mail: async () => parsedOnce(await form.message(), state.parsed),
    leaving: () => form.leaving(),
    suppressed: parts.suppressed,
  };
}

/** @returns the forms of these recipients and no other, split off where they had others with them. */
function formsFor(ours: ReadonlySet<number>, rcpts: readonly number[] | undefined, state: State): Form[] {
  const wanted = new Set([...ours].filter((i) => !rcpts || rcpts.includes(i)));
  const chosen: Form[] = [];
  state.forms = state.forms.flatMap((form) => {
    const inside = [...form.rcpts].filter((i) => wanted.has(i));
    if (inside.length === 0) return [form];
    if (inside.length === form.rcpts.size) {
      chosen.push(form);
      return [form];
    }
    const split = form.copy(new Set(inside));
    chosen.push(split);
    form.rcpts = new Set([...form.rcpts].filter((i) => !wanted.has(i)));
    return [form, split];
  });
  return chosen;
}
