import type { InlineVerdict, PolicyPort, Uncommitted } from '@waypost/inline';
import type { MessageMeta, MessageRecord, Reply } from '@waypost/mail';
import { toJudgement } from '../carry.js';
import type { Evaluation } from '../evaluate.js';
import { holdNote } from '../hold.js';
import type { PolicyPortDeps } from './deps.js';
import { explain } from './explain.js';

/** Policy as sessions ask it before they answer the final dot, and dry runs. */
export function createPolicyPort(deps: PolicyPortDeps): PolicyPort {
  const { judge, config, spool, isReport } = deps;
  return {
    judge: async ({ meta, body }) => {
      if (isReport(meta)) return { kind: 'take', variants: [] };
      const record = recordOf({ meta });
      const read = body ? async () => body : () => spool.read(meta.id, meta.body);
      return judge.judge(record, { read }, async (evaluation): Promise<InlineVerdict> => {
        const refusal = refusalOf(evaluation);
        if (refusal) return { kind: 'refuse', reply: refusal };
        const leaving = await judge.leaving(record, evaluation);
        const hold = evaluation.kind === 'hold' ? holdNote(record, evaluation, config(), Date.now()) : undefined;
        return { kind: 'take', judgement: toJudgement(record, evaluation, leaving, hold), variants: leaving.drafts };
      });
    },
    explain: (message) => explain(message, recordOf(message), deps),
  };
}

/** A message as it stands before its commit. */
const recordOf = ({ meta }: Uncommitted): MessageRecord => ({ meta, stage: 'accepted', recipients: [], events: [] });

/** @returns what the client hears where nobody is to get the message. */
function refusalOf({ kind, open, refused }: Evaluation): Reply | undefined {
  if (kind === 'defer')
    return { code: 451, enhanced: '4.7.1', text: 'The message cannot be judged now, try again later' };
  if (open.length > 0) return undefined;
  const [first] = refused;
  return safe(first?.reply ?? { code: 550, enhanced: '5.7.1', text: 'Refused by policy' });
}

/** One line that may be said in a session, and means for good. */
function safe({ code, enhanced = '5.7.1', text }: Reply): Reply {
  const line = text.replace(/[^\x20-\x7e]+/g, ' ').slice(0, 400);
  return { code: code >= 500 && code <= 599 ? code : 550, enhanced, text: line };
}
