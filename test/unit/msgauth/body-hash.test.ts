import { createHash } from 'node:crypto';
import { hashBody } from '@waypost/msgauth';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

/** RFC 6376 §3.4.3 and §3.4.4 as they read, over text. */
function canonical(body: string, way: 'simple' | 'relaxed'): string {
  if (way === 'simple') return `${body.replace(/(?:\r\n)+$/, '')}\r\n`;
  const lines = body.split('\r\n').map((line) => line.replace(/[ \t]+/g, ' ').replace(/ $/, ''));
  while (lines.at(-1) === '') lines.pop();
  return lines.map((line) => `${line}\r\n`).join('');
}

const body = fc
  .array(fc.constantFrom('a', 'bc', ' ', '\t', '  ', '\r\n', '\r\n\r\n', '\r', '.', 'x \r\n'), { maxLength: 30 })
  .map((parts) => parts.join('').replace(/\r(?=\r\n|$)/g, 'y'));

async function* cut(text: string, sizes: readonly number[]): AsyncGenerator<Buffer> {
  const octets = Buffer.from(text, 'latin1');
  let at = 0;
  for (const size of sizes) {
    yield octets.subarray(at, at + size);
    at += size;
  }
  yield octets.subarray(at);
}

describe('body hashes', () => {
  it.each(['simple', 'relaxed'] as const)(
    '%s: as the RFC has it, however the body comes and whatever l= says',
    async (way) => {
      const header = 'From: a@example.com\r\n\r\n';
      await fc.assert(
        fc.asyncProperty(
          body,
          fc.array(fc.nat(9), { maxLength: 30 }),
          fc.option(fc.nat(20)),
          async (text, sizes, length) => {
            const whole = canonical(text, way);
            const digest = createHash('sha256')
              .update(whole.slice(0, length ?? undefined), 'latin1')
              .digest();
            const hashing = { way, algorithm: 'sha256', length: length ?? undefined } as const;
            const expected = { digest, octets: whole.length };
            expect(await hashBody(Buffer.from(header + text, 'latin1'), header.length, hashing)).toEqual(expected);
            expect(await hashBody(cut(header + text, sizes), header.length, hashing)).toEqual(expected);
          },
        ),
        { numRuns: 500 },
      );
    },
  );

  it.each(['simple', 'relaxed'] as const)('%s: of a long body, which is hashed in slices', async (way) => {
    const text = `${'line of text, with  blanks \r\n\r\n'.repeat(40_000)}\r\n\r\n`;
    const digest = createHash('sha256').update(canonical(text, way)).digest();
    expect((await hashBody(Buffer.from(`\r\n${text}`), 2, { way, algorithm: 'sha256' })).digest).toEqual(digest);
  });
});
