import { baseModel, Classifier } from '@waypost/classifier';
import { parseMail } from '@waypost/mime';
import { checkAttachments, collect, createLookalikeFinder, runHeuristics } from '@waypost/spam';
import { describe, expect, it } from 'vitest';

const lookalikes = createLookalikeFinder(['example.com']);
const classifier = new Classifier(baseModel());

/** All that is read of a message in policy's own thread. @returns the symbols. */
function read(message: string): string[] {
  const mail = parseMail(Buffer.from(message, 'latin1'));
  const heuristics = runHeuristics({ mail, receivedAt: Date.now(), recipients: ['bob@example.com'], lookalikes });
  const { report, found } = collect();
  checkAttachments(mail, report);
  classifier.classify(mail);
  return [...heuristics.found, ...found()].map(({ symbol }) => symbol);
}

const MANY = 1_000_000;

describe('messages made to take time', () => {
  // Each takes some milliseconds; where a pattern takes the square of its text, minutes.
  it.each<[string, string, string]>([
    ['comments in a date that do not end', `Date: ${'('.repeat(MANY)}\r\n\r\n`, 'DATE_INVALID'],
    ['sums in a subject', `Subject: ${'$1'.repeat(MANY / 2)}\r\n\r\n`, 'DATE_MISSING'],
    [
      'brackets in a Message-ID',
      `From: a@b.test\r\nMessage-ID: <a@b${'>'.repeat(MANY)}x\r\n\r\n`,
      'MESSAGE_ID_INVALID',
    ],
    ['groups within a phrase', `From: a@"b"${'c:'.repeat(MANY / 2)}\r\n\r\n`, 'DATE_MISSING'],
    [
      'dots in the name of a file',
      `Content-Disposition: attachment; filename="${'.'.repeat(60_000)}x.exe"\r\n\r\n`,
      'ATTACH_EXECUTABLE',
    ],
    ['marks after links', `\r\n${`http://a${'.'.repeat(1_990)}x\n`.repeat(500)}`, 'DATE_MISSING'],
    [
      'hosts of many dots',
      `Content-Type: text/html\r\n\r\n${`<a href="http://a${'.'.repeat(4_000)}b/">x</a>`.repeat(64)}`,
      'MIME_HTML_ONLY',
    ],
    [
      'elements that close in another order',
      `Content-Type: text/html\r\n\r\n${'<b>'.repeat(40_000)}${'</i>'.repeat(35_000)}`,
      'MIME_HTML_ONLY',
    ],
    ['comments within words', `Content-Type: text/html\r\n\r\n${'<!---->a'.repeat(32_000)}`, 'HTML_SPLIT_WORDS'],
  ])('%s', (_, message, symbol) => {
    expect(read(message)).toContain(symbol);
  });
});
