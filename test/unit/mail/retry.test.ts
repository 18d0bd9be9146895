import { nextAttempt } from '@waypost/mail';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

const policy = { initial: 60_000, factor: 2, max: 600_000, jitter: 0.2 };
const message = { attempt: 1, receivedAt: 0, maxAge: 5_000_000 };

describe('nextAttempt', () => {
  test.each([
    [1, 60_000],
    [2, 120_000],
    [4, 480_000],
    [5, 600_000],
    [5000, 600_000],
  ])('after attempt %i waits %i ms', (attempt, delay) => {
    expect(nextAttempt(policy, { ...message, attempt }, 1000, 0.5)).toBe(1000 + delay);
  });

  test('jitter goes both ways', () => {
    expect(nextAttempt(policy, message, 0, 0)).toBe(48_000);
    expect(nextAttempt(policy, message, 0, 1)).toBe(72_000);
  });

  test('the last attempt is made when the message comes of age, then it has expired', () => {
    expect(nextAttempt(policy, message, 4_980_000, 0.5)).toBe(5_000_000);
    expect(nextAttempt(policy, message, 5_000_000, 0.5)).toBeUndefined();
    expect(nextAttempt(policy, message, 4_999_990, 0.5)).toBeUndefined();
  });

  test('a short life still has its second attempt', () => {
    expect(nextAttempt(policy, { ...message, maxAge: 500 }, 100, 0.5)).toBe(500);
  });

  test('after a greylisting answer the short delays hold, as long as there are any', () => {
    const soon = { ...policy, initial: 1_800_000, max: 14_400_000, jitter: 0, greylist: [60_000, 300_000] };
    const delay = (attempt: number, greylisted: boolean) =>
      nextAttempt(soon, { ...message, maxAge: 1e9, attempt, greylisted }, 0, 0.5);
    expect(delay(1, true)).toBe(60_000);
    expect(delay(2, true)).toBe(300_000);
    for (const attempt of [3, 4, 9]) expect(delay(attempt, true)).toBe(delay(attempt, false));
    expect(delay(1, false)).toBe(1_800_000);
  });

  test('a greylisting answer never makes it wait longer than any other', () => {
    const late = { ...policy, initial: 1_000, jitter: 0, greylist: [60_000] };
    expect(nextAttempt(late, { ...message, maxAge: 1e9, attempt: 1, greylisted: true }, 0, 0.5)).toBe(1_000);
  });

  test('always ends, always moves on and never passes the age', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10_000_000 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (maxAge, random) => {
          let now = 1;
          let attempt = 1;
          for (;;) {
            const next = nextAttempt(policy, { attempt, receivedAt: 0, maxAge }, now, random);
            if (next === undefined) break;
            expect(next).toBeGreaterThan(now);
            expect(next).toBeLessThanOrEqual(maxAge);
            now = next;
            attempt += 1;
            expect(attempt).toBeLessThan(1000);
          }
        },
      ),
    );
  });
});
