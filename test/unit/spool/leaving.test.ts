import { Readable } from 'node:stream';
import { leaving, leavingSize } from '@waypost/spool';
import { describe, expect, it } from 'vitest';

const body = Buffer.from('A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\ntext\r\n');
const cut = [
  [6, 12],
  [18, 24],
] as const;
const changes = { prepend: 'Ö: 0\r\n', cut };
const expected = 'Ö: 0\r\nA: 1\r\nC: 3\r\n\r\ntext\r\n';

describe('the message as it leaves', () => {
  it('is without what was cut, behind what was put before it', () => {
    expect(leaving(body, changes).toString()).toBe(expected);
    expect(leavingSize(body.length, changes)).toBe(Buffer.byteLength(expected));
  });

  it('is the same octets object where nothing changed', () => {
    expect(leaving(body, { cut: [] })).toBe(body);
  });

  it('is the same from a stream, wherever its chunks end', async () => {
    for (let first = 0; first <= body.length; first += 1) {
      for (let second = first; second <= body.length; second += 1) {
        const parts = [body.subarray(0, first), body.subarray(first, second), body.subarray(second)];
        const source = Readable.from(
          parts.filter((part) => part.length > 0),
          { objectMode: false },
        );
        const chunks: Buffer[] = [];
        for await (const chunk of leaving(source, changes)) chunks.push(chunk as Buffer);
        expect(Buffer.concat(chunks).toString()).toBe(expected);
      }
    }
  });
});
