import { ReportReader } from '@waypost/bounces';
import { afterEach, expect, it } from 'vitest';
import { postfixLike } from '../../support/reports.js';

let reader: ReportReader | undefined;
afterEach(() => reader?.close());

const plain = Buffer.from(postfixLike({ recipient: 'gone@example.org', to: 'b-x@bounces.example.com' }));

/** Many recipients, and a text that names none of them where it is looked for. */
const slow = () => {
  const fields = Array.from(
    { length: 1000 },
    (_, i) => `Final-Recipient: rfc822; u${i}@b.example\r\nAction: failed\r\n`,
  );
  const lines = Array.from({ length: 1000 }, (_, i) => `<u${i}@b.example>: zzz`);
  return Buffer.from(
    [
      'From: MAILER-DAEMON@b.example\r\nSubject: failure notice',
      'Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n',
      ...lines,
      '--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; b.example\r\n',
      ...fields,
      '--b--\r\n',
    ].join('\r\n'),
  );
};

it('reads reports as they are, side by side', async () => {
  reader = new ReportReader();
  const read = reader;
  const reports = await Promise.all(Array.from({ length: 20 }, () => read.read(plain)));
  for (const report of reports) {
    expect(report).toMatchObject({
      kind: 'bounce',
      recipients: [{ recipient: 'gone@example.org', cause: 'user_unknown', hard: true }],
    });
  }
  expect(await read.read(Buffer.from('Subject: hello\r\n\r\nhello\r\n'))).toBeUndefined();
});

it('keeps the process to its other work while a report takes long', async () => {
  reader = new ReportReader();
  let turns = 0;
  let done = false;
  const reading = reader.read(slow()).finally(() => {
    done = true;
  });
  while (!done) {
    turns += 1;
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect((await reading)?.recipients.length).toBeGreaterThan(900);
  // Read here, it would have been one turn or few.
  expect(turns).toBeGreaterThan(100);
});

it('gives up on one that takes too long', async () => {
  reader = new ReportReader({ threads: 1, timeout: 1 });
  await expect(reader.read(slow())).rejects.toThrow();
});
