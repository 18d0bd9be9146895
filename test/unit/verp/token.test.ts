import { readToken, signToken, TOKEN_LENGTH, timeOfId } from '@waypost/verp';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

const secret = fc.string({ minLength: 32 });
const subject = fc.record({ id: fc.uuid({ version: 7 }), i: fc.option(fc.nat(65_534), { nil: undefined }) });
const made = ({ id, i }: { id: string; i: number | undefined }) => (i === undefined ? { id } : { id, i });

describe('a token', () => {
  test('comes back as it went out, whatever became of its case', () => {
    fc.assert(
      fc.property(subject, secret, fc.infiniteStream(fc.boolean()), (given, key, upper) => {
        const token = signToken(made(given), key);
        expect(token).toMatch(/^[a-z2-7]{45}$/);
        expect(token).toHaveLength(TOKEN_LENGTH);
        const bent = [...token].map((char) => (upper.next().value ? char.toUpperCase() : char)).join('');
        expect(readToken(bent, [key])).toEqual(made(given));
      }),
    );
  });

  test('with one character changed is none', () => {
    fc.assert(
      fc.property(subject, secret, fc.nat(TOKEN_LENGTH - 1), fc.nat(30), (given, key, at, by) => {
        const token = signToken(made(given), key);
        const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';
        const other = alphabet[(alphabet.indexOf(token[at] as string) + by + 1) % 32];
        expect(readToken(token.slice(0, at) + other + token.slice(at + 1), [key])).toBeUndefined();
      }),
    );
  });

  test('of another secret is none, and of an old one is good', () => {
    fc.assert(
      fc.property(subject, secret, secret, (given, key, other) => {
        fc.pre(key !== other);
        const token = signToken(made(given), key);
        expect(readToken(token, [other])).toBeUndefined();
        expect(readToken(token, [other, key])).toEqual(made(given));
        expect(readToken(token, [])).toBeUndefined();
      }),
    );
  });

  test('is no other text', () => {
    for (const text of [fc.string(), fc.stringMatching(/^[a-z2-7]{45}$/)]) {
      fc.assert(
        fc.property(text, secret, (given, key) => {
          expect(readToken(given, [key])).toBeUndefined();
        }),
      );
    }
  });

  test('of a recipient beyond those that it can number is that of all', () => {
    const id = '01890a5d-ac96-774b-bcce-b302099a8057';
    expect(readToken(signToken({ id, i: 65_535 }, 'x'.repeat(32)), ['x'.repeat(32)])).toEqual({ id });
  });
});

test('a queue id tells its time', () => {
  fc.assert(
    fc.property(fc.nat(0xffff_ffff_ffff), (time) => {
      const hex = time.toString(16).padStart(12, '0');
      expect(timeOfId(`${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`)).toBe(time);
    }),
  );
});
