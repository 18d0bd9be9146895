import type { MessageRecord, Reply } from '@waypost/mail';
import { isTerminal } from '@waypost/mail';
import type { Check, CheckContext, OpenRecipient } from './check.js';

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
  /** Header fields to put before the message, each ended by CRLF. */
  readonly prepend: string;
}

export type ContextParts = Pick<CheckContext, 'body' | 'suppressed'>;

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
  let open: OpenRecipient[] = record.meta.envelope.recipients
    .map((recipient, i) => ({ i, recipient }))
    .filter(({ i }) => !isTerminal(record.recipients[i]?.state ?? 'accepted'));
  const refused: Evaluation['refused'][number][] = [];
  let prepend = '';
  const context: CheckContext = {
    ...parts,
    meta: record.meta,
    get open() {
      return open;
    },
    addHeader: (field) => {
      prepend = `${field}\r\n${prepend}`;
    },
  };
  for (const check of checks) {
    if (open.length === 0) break;
    let verdict: Awaited<ReturnType<Check['run']>>;
    try {
      const answer = check.run(context);
      verdict = answer instanceof Promise ? await answer : answer;
    } catch (error) {
      onError(error as Error, check.name);
      verdict = { kind: 'defer', reason: `the check ${check.name} failed` };
    }
    if (verdict.kind === 'hold' || verdict.kind === 'defer') {
      return { kind: verdict.kind, reason: verdict.reason, open, refused, prepend };
    }
    if (verdict.kind === 'reject') {
      const { reply, rcpts, state = 'rejected' } = verdict;
      const hit = (i: number) => !rcpts || rcpts.includes(i);
      for (const { i } of open.filter((entry) => hit(entry.i))) refused.push({ i, reply, state });
      open = open.filter((entry) => !hit(entry.i));
    }
  }
  return { kind: 'pass', open, refused, prepend };
}
