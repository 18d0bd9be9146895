import { checkAttachments, collect, SYMBOLS } from '@waypost/spam';
import { type Check, PASS } from '../check.js';
import { concerns, type FilterDeps, refusal } from './filter.js';

/** Looks into the files of a message; stops the virus test file by itself, so that a set-up without scanner can be tried. */
export function attachmentsCheck({ config }: FilterDeps): Check {
  return {
    name: 'attachments',
    run: async (context) => {
      if (!concerns(context, { kinds: config().spam.attachment_kinds })) return PASS;
      const { report, found } = collect();
      context.findings.attachments = checkAttachments(await context.mail(), report);
      const symbols = found();
      for (const { symbol, reason } of symbols) context.symbol(symbol, SYMBOLS[symbol].score, reason);
      const virus = symbols.find(({ symbol }) => symbol === 'EICAR');
      return virus ? refusal(undefined, `Virus found: ${virus.reason}`) : PASS;
    },
  };
}
