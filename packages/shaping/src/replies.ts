import type { ReplyRule } from '@waypost/config';
import type { Reply } from '@waypost/mail';

/** A reply rule, ready to be compared. */
export interface CompiledReplyRule {
  readonly rule: ReplyRule;
  /** Tells it from the others, for counting. */
  readonly id: string;
  matches(reply: Reply): boolean;
}

/** @throws SyntaxError where the text is no regular expression. */
export function compileReplyRule(rule: ReplyRule): CompiledReplyRule {
  const text = rule.text === undefined ? undefined : new RegExp(rule.text, 'i');
  const status = rule.status === undefined ? undefined : wildcard(rule.status);
  const code = rule.code === undefined ? undefined : new RegExp(`^${rule.code.replace('xx', '\\d\\d')}$`);
  return {
    rule,
    id: [rule.code, rule.status, rule.text, rule.action].filter(Boolean).join(' '),
    matches: (reply) =>
      (!text || text.test(reply.text)) &&
      (!status || status.test(reply.enhanced ?? '')) &&
      (!code || code.test(String(reply.code))),
  };
}

/** `4.7.*` stands for any detail, `4.*` for any subject and detail. */
const wildcard = (pattern: string) => new RegExp(`^${pattern.replace(/[^0-9*]/g, '\\$&').replace(/\*/g, '[0-9.]+')}$`);
