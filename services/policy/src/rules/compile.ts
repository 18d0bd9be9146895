import { compilePattern, type RuleActions, type RuleConfig } from '@waypost/config';
import type { FieldTest } from '../check.js';
import { asksRecipients, compileCondition } from './conditions.js';
import type { Test } from './facts.js';

/** What one entry of `do` does, ready to be done. */
export interface Action extends Omit<RuleActions, 'remove_header'> {
  readonly removes: readonly FieldTest[];
}

/** A rule, ready to be tried. */
export interface Rule {
  readonly name: string;
  readonly test: Test;
  /** It is asked about each recipient by itself. */
  readonly perRecipient: boolean;
  readonly actions: readonly Action[];
}

/** @returns the rules of a configuration in their order. */
export function compileRules(rules: readonly RuleConfig[]): Rule[] {
  return rules.map(({ name, when, do: actions }) => ({
    name,
    test: compileCondition(when),
    perRecipient: when !== undefined && asksRecipients(when),
    actions: actions.map(({ remove_header, ...rest }) => ({ ...rest, removes: (remove_header ?? []).map(fieldTest) })),
  }));
}

function fieldTest({ name, matches }: NonNullable<RuleActions['remove_header']>[number]): FieldTest {
  const wanted = name.toLowerCase();
  const pattern = matches === undefined ? undefined : compilePattern(matches);
  return (field, value) => field === wanted && (pattern?.test(value.slice(0, 4096)) ?? true);
}
