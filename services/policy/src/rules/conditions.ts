import { hasTag, Networks, type RuleCondition } from '@waypost/config';
import type { RuleFacts, Test } from './facts.js';
import { addressTest, attachmentTest, authTest, headerTest, patternTest, symbolTest } from './tests.js';
import { timeTest } from './time.js';

/** @returns the test of a condition: all that it names must fit. */
export function compileCondition(condition: RuleCondition | undefined): Test {
  if (!condition) return () => true;
  const { any, all, not } = condition;
  return every([
    ...Object.entries(condition).flatMap(([key, value]) => {
      const make = (SIMPLE as Record<string, ((value: unknown) => Test) | undefined>)[key];
      return make && value !== undefined ? [make(value)] : [];
    }),
    ...(all ? [every(all.map(compileCondition))] : []),
    ...(any ? [some(any.map(compileCondition))] : []),
    ...(not ? [negated(compileCondition(not))] : []),
  ]);
}

/** @returns whether a condition asks about single recipients. */
export function asksRecipients({ recipient, any = [], all = [], not }: RuleCondition): boolean {
  return recipient !== undefined || [...any, ...all, ...(not ? [not] : [])].some(asksRecipients);
}

type Makers = {
  [Key in Exclude<keyof RuleCondition, 'any' | 'all' | 'not'>]-?: (value: NonNullable<RuleCondition[Key]>) => Test;
};

const oneOf = (wanted: readonly string[], value: (facts: RuleFacts) => string | undefined): Test => {
  const set = new Set(wanted);
  return (facts) => set.has(value(facts) ?? '');
};

const SIMPLE: Makers = {
  direction:
    (wanted) =>
    ({ meta }) =>
      (meta.origin.kind === 'mx') === (wanted === 'inbound'),
  origin: (wanted) => oneOf(wanted, ({ meta }) => meta.origin.kind),
  listener: (wanted) => oneOf(wanted, ({ meta }) => meta.origin.listener),
  tenant: (wanted) => oneOf(wanted, ({ meta }) => meta.origin.tenant),
  credential: (wanted) => oneOf(wanted, ({ meta }) => meta.origin.credential),
  remote: (wanted) => {
    const networks = new Networks(wanted);
    return ({ meta }) => networks.has(meta.origin.remoteAddress);
  },
  helo: (wanted) => patternTest(wanted, ({ meta }) => meta.origin.helo ?? ''),
  tls:
    (wanted) =>
    ({ meta }) =>
      (meta.origin.tls !== undefined) === wanted,
  sender: (wanted) => addressTest(wanted, ({ meta }) => meta.envelope.sender),
  recipient: (wanted) => addressTest(wanted, ({ recipient }) => recipient),
  recipients:
    ({ over = -1, under = Number.POSITIVE_INFINITY }) =>
    ({ recipients }) =>
      recipients > over && recipients < under,
  header: (wanted) => every(wanted.map(headerTest)),
  size:
    ({ over = -1, under = Number.POSITIVE_INFINITY }) =>
    ({ meta }) =>
      meta.body.size > over && meta.body.size < under,
  score:
    ({ at_least = Number.NEGATIVE_INFINITY, below = Number.POSITIVE_INFINITY }) =>
    ({ findings }) =>
      findings.score >= at_least && findings.score < below,
  symbol: symbolTest,
  tag:
    (wanted) =>
    ({ findings }) =>
      wanted.some((tag) => hasTag(findings.tags, tag)),
  auth: authTest,
  attachment: attachmentTest,
  time: timeTest,
};

/** Three values: what is known to be false decides, whatever is unknown. */
function every(tests: readonly Test[]): Test {
  return (facts) => {
    let known: boolean | undefined = true;
    for (const test of tests) {
      const fits = test(facts);
      if (fits === false) return false;
      if (fits === undefined) known = undefined;
    }
    return known;
  };
}

function some(tests: readonly Test[]): Test {
  const none = every(tests.map(negated));
  return negated(none);
}

function negated(test: Test): Test {
  return (facts) => {
    const fits = test(facts);
    return fits === undefined ? undefined : !fits;
  };
}
