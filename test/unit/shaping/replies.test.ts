import { loadConfig } from '@waypost/config';
import { parseReply } from '@waypost/mail';
import { compileReplyRule, planOf } from '@waypost/shaping';
import { describe, expect, it } from 'vitest';

/** A rule as the configuration gives it. */
function rule(given: Record<string, unknown>) {
  const text = JSON.stringify({ shaping: [{ replies: [{ action: 'suspend', for: '1h', ...given }] }] });
  const [compiled] = planOf(loadConfig({ text })).terms('mx:x').replies;
  if (!compiled) throw new Error('no rule');
  return compiled;
}

describe('a rule on replies', () => {
  it.each([
    [{ text: 'too many' }, '421 4.7.0 Too Many connections', true],
    [{ text: '^try' }, '421 4.7.0 please try', false],
    [{ text: '\\[TS0[123]\\]' }, '421 4.7.0 [TS02] deferred', true],
    [{ code: '421' }, '421 4.7.0 x', true],
    [{ code: '421' }, '450 4.7.0 x', false],
    [{ code: '4xx' }, '450 4.2.0 x', true],
    [{ code: '4xx' }, '550 5.2.0 x', false],
    [{ status: '4.7.1' }, '450 4.7.1 x', true],
    [{ status: '4.7.1' }, '450 4.7.10 x', false],
    [{ status: '4.7.*' }, '450 4.7.10 x', true],
    [{ status: '4.7.*' }, '450 4.2.1 x', false],
    [{ status: '4.*' }, '450 4.2.1 x', true],
    [{ status: '4.*' }, '450 x', false],
    [{ status: '4.7.*', code: '421', text: 'slow' }, '421 4.7.0 slow down', true],
    [{ status: '4.7.*', code: '421', text: 'slow' }, '421 4.7.0 go away', false],
    [{ status: '4.7.*', code: '421', text: 'slow' }, '450 4.7.0 slow down', false],
  ])('%j, on "%s": %s', (given, reply, expected) => expect(rule(given).matches(parseReply(reply))).toBe(expected));

  it('has an id by what it looks for and does, so that each is counted by itself', () => {
    const ids = [{ text: 'a' }, { text: 'b' }, { text: 'a', code: '421' }, { text: 'a', action: 'reroute' }].map(
      (given) => rule(given).id,
    );
    expect(new Set(ids).size).toBe(4);
  });

  it('knows how often before it acts', () => {
    expect(rule({ text: 'a', after: '5/15m' }).rule.after).toEqual({ limit: 5, period: 900_000 });
    expect(rule({ text: 'a' }).rule.after).toBeUndefined();
  });

  it('whose text is no regular expression is refused', () => {
    const broken = { action: 'suspend', scope: 'source', for: 1, text: '(' } as const;
    expect(() => compileReplyRule(broken)).toThrow(SyntaxError);
    expect(() => rule({ text: '(' })).toThrow(/"text"/);
  });

  it.each([
    [{}, /give "text", "status" or "code"/],
    [{ text: 'a', action: 'slow' }, /"slow" needs "rate" or "connections"/],
    [{ code: '2xx' }, /write a reply code/],
    [{ text: 'a', after: '5' }, /how often in which time/],
  ])('%j is refused', (given, message) => expect(() => rule(given)).toThrow(message));

  it('of the operator comes before a provider’s, and that before those for all', () => {
    const text = JSON.stringify({
      shaping: [{ replies: [{ text: 'mine', action: 'suspend', for: '1h' }] }],
      providers: [{ name: 'big', mx: ['x.test'], replies: [{ text: 'theirs', action: 'suspend', for: '1h' }] }],
    });
    const texts = planOf(loadConfig({ text }))
      .terms('mx:x.test')
      .replies.map(({ rule }) => rule.text);
    expect(texts.slice(0, 2)).toEqual(['mine', 'theirs']);
    expect(texts[2]).toMatch(/temporarily deferred/);
  });
});
