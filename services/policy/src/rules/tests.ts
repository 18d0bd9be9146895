import { type AttachmentCondition, compilePattern, type HeaderCondition, type RuleCondition } from '@waypost/config';
import { domainOf, matchDomain } from '@waypost/mail';
import { decodeWords } from '@waypost/mime';
import type { RuleFacts, Test } from './facts.js';

/** Characters of a value that patterns are tried on. */
const VALUE = 4096;
/** Fields of one name, and attachments, that are looked at. */
const MOST = 100;

export function patternTest(text: string, value: (facts: RuleFacts) => string): Test {
  const pattern = compilePattern(text);
  return (facts) => pattern.test(value(facts).slice(0, VALUE));
}

/** Fits an address of the list, or a domain where that begins with `@`; whatever the case. */
export function addressTest(wanted: readonly string[], value: (facts: RuleFacts) => string): Test {
  const lower = wanted.map((one) => (one === '<>' ? '' : one.toLowerCase()));
  // Lists from files are long: only those with a wildcard are gone through.
  const exact = new Set(lower.filter((one) => !one.startsWith('@*')));
  const wild = lower.filter((one) => one.startsWith('@*')).map((one) => one.slice(1));
  return (facts) => {
    const address = value(facts).toLowerCase();
    const domain = domainOf(address);
    return (
      exact.has(address) || (domain !== '' && (exact.has(`@${domain}`) || wild.some((one) => matchDomain(one, domain))))
    );
  };
}

export function headerTest({ name, matches, contains, equals, exists }: HeaderCondition): Test {
  const pattern = matches === undefined ? undefined : compilePattern(matches);
  const part = contains?.toLowerCase();
  const whole = equals?.toLowerCase();
  const field = name.toLowerCase();
  const asks = pattern !== undefined || part !== undefined || whole !== undefined;
  return ({ mail }) => {
    if (!mail) return undefined;
    const values = mail.headers(field).slice(0, MOST);
    if (exists !== undefined && values.length > 0 !== exists) return false;
    if (!asks) return exists !== undefined || values.length > 0;
    return values.some((raw) => {
      const value = decodeWords(raw.slice(0, VALUE)).slice(0, VALUE);
      const lower = value.toLowerCase();
      return (
        (pattern?.test(value) ?? true) &&
        (part === undefined || lower.includes(part)) &&
        (whole === undefined || lower === whole)
      );
    });
  };
}

export function attachmentTest({ name, type, over }: AttachmentCondition): Test {
  const pattern = name === undefined ? undefined : compilePattern(name);
  const types = type?.map((one) => one.toLowerCase());
  return ({ mail }) =>
    mail?.attachments
      .slice(0, MOST)
      .some(
        (part) =>
          (!pattern || part.filenames.some((one) => pattern.test(one.slice(0, VALUE)))) &&
          (!types ||
            types.some((one) => (one.endsWith('/*') ? part.type.startsWith(one.slice(0, -1)) : part.type === one))) &&
          (over === undefined || part.content().length > over),
      );
}

/** Names, of which one with `*` at its end fits all that begin so. */
export function symbolTest(wanted: readonly string[]): Test {
  return ({ findings }) =>
    findings.symbols.some(({ name }) =>
      wanted.some((one) => (one.endsWith('*') ? name.startsWith(one.slice(0, -1)) : name === one)),
    );
}

/** Without results of authentication nothing fits but `none`. */
export function authTest({ spf, dkim, dkim_domain, dmarc, arc }: NonNullable<RuleCondition['auth']>): Test {
  const is = (wanted: readonly string[] | undefined, result = 'none') => !wanted || wanted.includes(result);
  return ({ findings: { auth = {} } }) => {
    const signatures = auth.dkim ?? [];
    const passed = signatures.filter(({ result }) => result === 'pass');
    return (
      is(spf, auth.spf?.result) &&
      is(dmarc, auth.dmarc?.result) &&
      is(arc, auth.arc?.result) &&
      (!dkim ||
        (signatures.length === 0 ? dkim.includes('none') : signatures.some(({ result }) => is(dkim, result)))) &&
      (!dkim_domain || passed.some(({ domain = '' }) => dkim_domain.some((one) => matchDomain(one, domain))))
    );
  };
}
