import type { RuleConfig } from '@waypost/config';
import { type Check, type CheckContext, type OpenRecipient, PASS, type Verdict } from '../check.js';
import { act, type TakeCount } from '../rules/act.js';
import { compileRules, type Rule } from '../rules/compile.js';
import type { RuleFacts } from '../rules/facts.js';

/** The operator's rules, in their order. */
export function rulesCheck(config: () => readonly RuleConfig[], take: TakeCount): Check {
  let from: readonly RuleConfig[] | undefined;
  let compiled: readonly Rule[] = [];
  const current = (): readonly Rule[] => {
    const rules = config();
    if (rules !== from) {
      compiled = compileRules(rules);
      from = rules;
    }
    return compiled;
  };
  return {
    name: 'rules',
    run: (context) => {
      const rules = current();
      return rules.length === 0 ? PASS : runRules(rules, context, take);
    },
  };
}

/** Refusals of some recipients leave the others to later rules; what is about the message ends it. */
async function runRules(rules: readonly Rule[], context: CheckContext, take: TakeCount): Promise<Verdict> {
  const out = new Set<number>();
  for (const rule of rules) {
    const left = context.open.filter(({ i }) => !out.has(i));
    if (left.length === 0) break;
    const fitting = await fittingOf(rule, left, context);
    if (fitting.length === 0) continue;
    const all = fitting.length === context.open.length;
    const rcpts = all ? undefined : fitting.map(({ i }) => i);
    context.note(
      `rule ${rule.name} fits${all ? '' : ` ${fitting.map(({ recipient }) => recipient.address).join(', ')}`}`,
    );
    for (const action of rule.actions) {
      const verdict = await act(action, { rule: rule.name, fitting, rcpts }, context, take);
      if (verdict?.kind === 'reject') {
        context.refuse(verdict);
        break;
      }
      if (verdict) return verdict;
      if (action.stop) for (const { i } of fitting) out.add(i);
    }
  }
  return PASS;
}

/** @returns the recipients that a rule fits; the message is read only where that decides. */
async function fittingOf(rule: Rule, open: readonly OpenRecipient[], context: CheckContext) {
  const { meta, findings } = context;
  const facts = { meta, findings, recipients: open.length, now: Date.now() };
  const askedOf = rule.perRecipient ? open : open.slice(0, 1);
  const fits = (mail?: RuleFacts['mail']) =>
    askedOf.map(({ recipient }) => rule.test({ ...facts, recipient: recipient.address, mail }));
  let answers = fits();
  if (answers.includes(undefined)) answers = fits(await context.mail());
  if (!rule.perRecipient) return answers[0] ? open : [];
  return open.filter((_, at) => answers[at]);
}
