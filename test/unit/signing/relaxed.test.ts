import { createHash } from 'node:crypto';
import { RelaxedBodyHash, relaxedField } from '@waypost/signing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

function hashOf(...chunks: readonly string[]): string {
  const hash = new RelaxedBodyHash();
  for (const chunk of chunks) hash.update(Buffer.from(chunk, 'latin1'));
  return hash.digest();
}

const sha256 = (text: string) => createHash('sha256').update(text, 'latin1').digest('base64');

/** RFC 6376 §3.4.4, sentence by sentence and slowly. */
function plainly(body: string): string {
  const lines = body.split('\r\n').map((line) => line.replace(/[ \t]+/g, ' ').replace(/ $/, ''));
  while (lines.length > 0 && lines.at(-1) === '') lines.pop();
  return lines.map((line) => `${line}\r\n`).join('');
}

describe('a relaxed body', () => {
  test.each([
    ['', ''],
    ['\r\n', ''],
    [' \t\r\n\r\n', ''],
    ['a', 'a\r\n'],
    [' C \r\nD \t E\r\n\r\n\r\n', ' C\r\nD E\r\n'],
    ['\r\n\r\na\r\n', '\r\n\r\na\r\n'],
    ['a\xa0 \r\n', 'a\xa0\r\n'],
    ['\ta', ' a\r\n'],
  ])('%j is hashed as %j', (body, relaxed) => expect(hashOf(body)).toBe(sha256(relaxed)));

  test('is the same however it is cut', () => {
    const piece = fc.constantFrom(' ', '\t', '\r\n', 'a', '.', '\xe4', ' \r\n', '  ', '\r\n\r\n');
    const body = fc.array(piece, { maxLength: 60 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(body, fc.array(fc.nat(80), { maxLength: 6 }), (text, cuts) => {
        const places = [0, ...cuts.map((at) => Math.min(at, text.length)).sort((a, b) => a - b), text.length];
        const chunks = places.slice(1).map((to, at) => text.slice(places[at], to));
        expect(hashOf(...chunks)).toBe(sha256(plainly(text)));
      }),
      { numRuns: 2000 },
    );
  });

  test('of millions of blanks or empty lines is hashed without searching them again and again', () => {
    const many = 4_000_000;
    expect(hashOf(`${' '.repeat(many)}x`)).toBe(sha256(' x\r\n'));
    expect(hashOf('a', '\r\n'.repeat(many), 'b')).toBe(sha256(`a${'\r\n'.repeat(many)}b\r\n`));
    expect(hashOf('a', '\r\n'.repeat(many))).toBe(sha256('a\r\n'));
  });
});

describe('a relaxed header field', () => {
  test.each([
    ['A: X\r\n', 'a:X'],
    ['B : Y\t\r\n\tZ  \r\n', 'b:Y Z'],
    ['Subject:\r\n', 'subject:'],
    ['Subject: \r\n \r\n', 'subject:'],
    ['Subject:a:  b', 'subject:a: b'],
    ['Subject: \xa0x\xa0 \r\n', 'subject:\xa0x\xa0'],
  ])('%j becomes %j', (field, relaxed) => expect(relaxedField(field)).toBe(relaxed));
});
