import { LineEndNormaliser, LineEndScanner, normaliseLineEnds } from '@waypost/mail';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

const soup = fc
  .array(fc.constantFrom('\r', '\n', '\r\n', 'a', '.', '\u00ff', '\0'), { maxLength: 30 })
  .map((parts) => Buffer.from(parts.join(''), 'latin1'));
const cuts = fc.array(fc.nat(6), { maxLength: 40 });

/** Cuts a buffer into chunks of these sizes (some empty), the rest last. */
function chunks(buffer: Buffer, sizes: readonly number[]): Buffer[] {
  const parts: Buffer[] = [];
  let at = 0;
  for (const size of sizes) {
    parts.push(buffer.subarray(at, at + size));
    at = Math.min(buffer.length, at + size);
  }
  return [...parts, buffer.subarray(at)];
}

/** Said plainly: what the fast ones are measured against. */
const bare = (text: string) => /[\r\n]/.test(text.replaceAll('\r\n', ''));
const normal = (text: string) => text.replaceAll('\r\n', '\n').replaceAll('\r', '\n').replaceAll('\n', '\r\n');

function scan(parts: readonly Buffer[]): boolean {
  const scanner = new LineEndScanner();
  return parts.some((part) => scanner.hasBare(part)) || scanner.endsBare();
}

function normalise(parts: readonly Buffer[]): Buffer {
  const normaliser = new LineEndNormaliser();
  return Buffer.concat([...parts.map((part) => normaliser.push(part)), normaliser.end()]);
}

describe('LineEndScanner', () => {
  test.each([
    ['a\r\nb\r\n', false],
    ['', false],
    ['a', false],
    ['a\nb', true],
    ['a\rb', true],
    ['\n', true],
    ['\r', true],
    ['\r\n\n', true],
    ['\r\r\n', true],
    ['a\r\n.\n', true],
  ])('of %j is %s', (text, expected) => expect(scan([Buffer.from(text)])).toBe(expected));

  test('finds the same however the stream is cut', () => {
    fc.assert(
      fc.property(soup, cuts, (buffer, sizes) => {
        expect(scan(chunks(buffer, sizes))).toBe(bare(buffer.toString('latin1')));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('LineEndNormaliser', () => {
  test('makes every line end CRLF however the stream is cut, and a second time changes nothing', () => {
    fc.assert(
      fc.property(soup, cuts, (buffer, sizes) => {
        const once = normalise(chunks(buffer, sizes));
        expect(once.toString('latin1')).toBe(normal(buffer.toString('latin1')));
        expect(normalise(chunks(once, sizes))).toEqual(once);
        expect(scan([once])).toBe(false);
      }),
      { numRuns: 2000 },
    );
  });

  test('gives the same buffer where nothing is to be done', () => {
    const buffer = Buffer.from('a\r\nb\r\n');
    expect(new LineEndNormaliser().push(buffer)).toBe(buffer);
    expect(normaliseLineEnds(buffer)).toBe(buffer);
  });

  test('may be used anew after the end', () => {
    const normaliser = new LineEndNormaliser();
    normaliser.push(Buffer.from('a\r'));
    expect(normaliser.end()).toEqual(Buffer.from('\n'));
    expect(normaliser.push(Buffer.from('b'))).toEqual(Buffer.from('b'));
    expect(normaliser.end().length).toBe(0);
  });
});
