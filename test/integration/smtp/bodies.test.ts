import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type SmtpDialog, waitFor } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixtures } from '../../support/fixtures.js';
import { greet, type Relay, startRelay, withoutTrace } from '../../support/relay.js';

let relay: Relay;
let dialog: SmtpDialog;
let marks = 0;
beforeAll(async () => {
  relay = await startRelay();
  dialog = await greet(relay.waypost.port('trusted'));
});
afterAll(async () => {
  dialog?.close();
  await relay?.stop();
});

/** Doubles the dot of each line that begins with one, as a client does. */
const stuffed = (body: Buffer) => Buffer.from(body.toString('latin1').replace(/(^|\r\n)\./g, '$1..'), 'latin1');

/** Sends a body as it is. @returns what came out of it at the next hop, without the trace fields. */
async function through(body: Buffer): Promise<Buffer> {
  marks += 1;
  const sender = `mark${marks}@example.com`;
  await dialog.say(`MAIL FROM:<${sender}> BODY=8BITMIME`);
  await dialog.say('RCPT TO:<b@example.org>');
  await dialog.say('DATA');
  dialog.write(stuffed(body));
  dialog.write('.\r\n');
  expect(await dialog.reply()).toMatch(/^250/);
  const message = await waitFor('the message', () =>
    relay.peer.messages.find(({ mail }) => mail.includes(`<${sender}>`)),
  );
  return withoutTrace(message.body);
}

const digest = (body: Buffer) => createHash('sha256').update(body).digest('hex');
const binary = () => {
  const octets = randomBytes(3_000_000)
    .toString('latin1')
    .replace(/[\r\n]/g, '\r\n');
  return Buffer.from(`Subject: any octets\r\n\r\n${octets}\r\n`, 'latin1');
};

describe('a body comes out as it went in', () => {
  it.each<[string, () => Buffer]>([
    ['header section and body', () => Buffer.from('Subject: usual\r\n\r\nbody\r\n')],
    ['no octet at all', () => Buffer.alloc(0)],
    ['an empty line only', () => Buffer.from('\r\n')],
    ['a header section only', () => Buffer.from('Subject: only\r\n')],
    ['a header section and its end', () => Buffer.from('Subject: only\r\n\r\n')],
    ['no header section', () => Buffer.from('just text\r\nand more\r\n')],
    ['dots in every place', () => Buffer.from('Subject: dots\r\n\r\n.\r\n..\r\n.x\r\n x.\r\n.\r\n\r\n.\r\n')],
    ['dots in the header section', () => Buffer.from('.Subject: dots\r\n..x: y\r\n\r\n.\r\n')],
    ['8-bit text in several charsets', () => Buffer.from('Subject: \u00e4\r\n\r\n\u00e4\u20ac\xff\xfe\r\n', 'latin1')],
    ['lines of 10,000 octets', () => Buffer.from(`Subject: long\r\n\r\n${'x'.repeat(10_000)}\r\n`.repeat(3))],
    ['NUL octets', () => Buffer.from('Subject: nul\r\n\r\na\0b\r\n\0\r\n')],
    ['spaces at line ends', () => Buffer.from('Subject: spaces \r\n\tfolded \r\n\r\n  x  \r\n \r\n\r\n\r\n')],
    ['exactly what is still kept in Redis', () => Buffer.from(`S: x\r\n\r\n${'y'.repeat(65_528 - 2)}\r\n`)],
    ['one octet more', () => Buffer.from(`S: x\r\n\r\n${'y'.repeat(65_529 - 2)}\r\n`)],
    ['3 MB of any octets', binary],
    ['25 MB', () => Buffer.from(`Subject: large\r\n\r\n${`${'z'.repeat(76)}\r\n`.repeat(335_000)}`)],
  ])('%s', async (_, make) => {
    const body = make();
    const came = await through(body);
    if (body.length < 20_000) expect(came.toString('latin1')).toBe(body.toString('latin1'));
    expect(came.length).toBe(body.length);
    expect(digest(came)).toBe(digest(body));
  });
});

const folder = fixtures('mime-mail-parser');
describe.skipIf(!folder)('real messages (needs the fixture mime-mail-parser)', () => {
  it('come out byte for byte, line ends made CRLF', async () => {
    const root = join(folder as string, 'eml');
    const files = readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    expect(files.length).toBeGreaterThan(100);
    for (const file of files) {
      const text = readFileSync(file).toString('latin1');
      const lines = text.replace(/\r\n|\r|\n/g, '\r\n');
      const body = Buffer.from(lines.endsWith('\r\n') || lines === '' ? lines : `${lines}\r\n`, 'latin1');
      const came = await through(body);
      // Fields of an earlier pass through a relay look like our own.
      expect(`${file} ${digest(came)}`).toBe(`${file} ${digest(withoutTrace(body))}`);
    }
  });
});
