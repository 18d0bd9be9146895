import { compilePattern, loadConfig } from '@waypost/config';
import { describe, expect, test } from 'vitest';

const load = (rules: string) => loadConfig({ text: `rules:\n${rules}` }).rules;

describe('rules', () => {
  test('take lists from lines, and one thing where a list may stand', () => {
    const [rule] = load(
      '- { name: a, when: { sender: "# ours\\n@example.com\\nvip@example.org # a person\\n" }, do: { tag: x } }',
    );
    expect(rule?.when?.sender).toEqual(['@example.com', 'vip@example.org']);
    expect(rule?.do).toEqual([{ tag: ['x'] }]);
  });

  test.each([
    ['- { name: a, when: { header: { name: X, matches: "a(" } }, do: { tag: x } }', /"a\("/],
    ['- { name: a, when: { header: { name: X, matches: "(a{1000}){1000}" } }, do: { tag: x } }', /invalid|large/i],
    ['- { name: a, when: { header: { name: X, matches: "(?=a)" } }, do: { tag: x } }', /\(\?=/],
    ['- { name: a, when: { sender: nobody }, do: { tag: x } }', /"nobody" is no address/],
    ['- { name: a, when: { not: { tenat: x } }, do: { tag: x } }', /tenat/],
    ['- { name: a, do: { reject: "two\\nlines" } }', /printable ASCII/],
    ['- { name: a, do: { reject: { text: no, code: 450 } } }', /500/],
    ['- { name: a, do: { route: "ftp://x" } }', /no next hop/],
    ['- { name: a, do: { pool: blue } }', /there is no pool "blue"/],
    ['- { name: a, when: { time: { zone: Mars/Base } }, do: { tag: x } }', /no time zone/],
    ['- { name: a, do: { tag: x } }\n- { name: a, do: { tag: x } }', /the name is taken/],
    ['- { name: a }', /do/],
  ])('%s is refused', (text, problem) => expect(() => load(text)).toThrow(problem));

  test('patterns take linear time', () => {
    const pattern = compilePattern('^(a+)+$');
    expect(pattern.test(`${'a'.repeat(4096)}!`)).toBe(false);
    expect(compilePattern('hello').test('say HELLO')).toBe(true);
    expect(compilePattern('(?-i)hello').test('say HELLO')).toBe(false);
  });
});
