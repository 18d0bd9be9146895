import { parseStsPolicy } from '@waypost/transport-security';
import { describe, expect, it } from 'vitest';

const policy = (...lines: string[]) => parseStsPolicy(['version: STSv1', ...lines].join('\r\n'));

describe('an MTA-STS policy', () => {
  it('may have blanks around its values, none in its names, and lines that nobody knows', () => {
    const lines = [
      'mode: \t enforce  ',
      'mx:mail.example.org\t',
      'mx : never.example.org',
      'max_age:  600',
      'other: x y',
    ];
    expect(policy(...lines)).toEqual({ mode: 'enforce', maxAge: 600, mx: ['mail.example.org'] });
  });

  it('of blanks costs no more than one of letters', () => {
    const cost = (filler: string) => {
      const before = process.cpuUsage();
      policy('mode: none', 'max_age: 600', `other: x${filler.repeat(65_000)}x`);
      const { user, system } = process.cpuUsage(before);
      return (user + system) / 1000;
    };
    cost('x');
    // Some seconds where each blank is looked at once for each before it.
    expect(cost(' ') - cost('x')).toBeLessThan(500);
  });
});
