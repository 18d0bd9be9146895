import type { Readable, Writable } from 'node:stream';
import { InputStream } from '@waypost/smtp';
import fc from 'fast-check';
import { SMTPStream } from 'smtp-server/lib/smtp-stream.js';
import { describe, expect, it } from 'vitest';

/** What a parser makes of the chunks: messages' content, and the command lines between them. */
async function parsed(parser: SMTPStream, chunks: readonly Buffer[]): Promise<string[]> {
  const seen: string[] = [];
  const dataMode = () => {
    const stream: Readable = parser.startDataMode();
    let content = '';
    stream.on('data', (chunk: Buffer) => {
      content += chunk.toString('latin1');
    });
    stream.on('end', () => {
      seen.push(`message ${JSON.stringify(content)} of ${parser.dataBytes}`);
      parser.continue();
    });
    return () => seen.push(`cut ${JSON.stringify(content)}`);
  };
  const cut = dataMode();
  parser.oncommand = (command, next) => {
    seen.push(`command ${command.toString('latin1')}`);
    next?.();
  };
  for (const chunk of chunks) await written(parser, chunk);
  await new Promise(setImmediate);
  if (parser._dataMode) cut();
  return seen;
}

const written = (stream: Writable, chunk: Buffer) => new Promise<void>((done) => stream.write(chunk, () => done()));

const inChunks = (text: string, cuts: readonly number[]): Buffer[] => {
  const at = [...new Set(cuts.map((cut) => cut % (text.length + 1)))].sort((a, b) => a - b);
  return [0, ...at]
    .map((from, i) => Buffer.from(text.slice(from, at[i] ?? text.length), 'latin1'))
    .filter(({ length }) => length > 0);
};

const piece = fc.constantFrom('\r\n', '\r\n.\r\n', '\r\n..', '.', '..', '\r', '\n', 'x', 'abc', '\0', '\xff', '.\r\n');

describe('the parser of what a client sends', () => {
  it('reads as smtp-server itself does, however the octets are cut into chunks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { minLength: 1, maxLength: 24 }),
        fc.array(fc.nat({ max: 60 }), { maxLength: 12 }),
        async (pieces, cuts) => {
          const text = pieces.join('');
          const chunks = inChunks(text, cuts);
          expect(await parsed(new InputStream(), chunks)).toEqual(await parsed(new SMTPStream(), chunks));
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('hands over a large message whole, with its stuffed dots undone', async () => {
    const lines = Array.from({ length: 40_000 }, (_, i) => (i % 3 === 0 ? `..${i}` : `line ${i}`));
    const sent = `${lines.join('\r\n')}\r\n.\r\nNOOP\r\n`;
    const seen = await parsed(new InputStream(), inChunks(sent, [65_536, 131_072, 131_073, 300_000]));
    const content = `${lines.join('\r\n').replace(/^\.\./gm, '.')}\r\n`;
    expect(seen).toEqual([`message ${JSON.stringify(content)} of ${content.length}`, 'command NOOP']);
  });
});
