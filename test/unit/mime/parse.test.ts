import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type MailPart, parseMail } from '@waypost/mime';
import fc from 'fast-check';
import { simpleParser } from 'mailparser';
import { describe, expect, it } from 'vitest';
import { fixtures } from '../../support/fixtures.js';

const message = (...lines: string[]) => Buffer.from(lines.join('\r\n'));

const MIXED = message(
  'From: a@example.com',
  'Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= =?utf-8?b?IGF1cw==?=',
  ' =?iso-8859-1?q?_K=F6ln?=',
  'Content-Type: multipart/mixed; boundary="b 1"',
  '',
  'preamble',
  '--b 1',
  'Content-Type: multipart/alternative; boundary=inner',
  '',
  '--inner',
  'Content-Type: text/plain; charset=iso-8859-1',
  'Content-Transfer-Encoding: quoted-printable',
  '',
  'caf=E9 =',
  'au lait  ',
  '--inner',
  'Content-Type: text/html; charset=utf-8',
  '',
  '<p>hello</p>',
  '--inner--',
  '',
  '--b 1',
  'Content-Type: application/octet-stream; name="other.bin"',
  "Content-Disposition: attachment; filename*0*=utf-8''na%C3%AF; filename*1=ve.exe",
  'Content-Transfer-Encoding: base64',
  '',
  'AAEC',
  'Aw==',
  '--b 1',
  'Content-Type: message/rfc822',
  '',
  'Subject: within',
  '',
  'inner body',
  '--b 1--',
  'epilogue',
  '',
);

describe('a message taken apart', () => {
  const mail = parseMail(MIXED);

  it('has its parts in order, each at its place', () => {
    expect(mail.all.map(({ path, type }) => `${path} ${type}`)).toEqual([
      ' multipart/mixed',
      '1 multipart/alternative',
      '1.1 text/plain',
      '1.2 text/html',
      '2 application/octet-stream',
      '3 message/rfc822',
      '3.1 text/plain',
    ]);
    expect([...mail.defects]).toEqual([]);
  });

  it('has its text decoded from transfer encoding and charset', () => {
    expect(mail.subject).toBe('Grüße aus Köln');
    expect(mail.plainText()).toBe('café au lait\ninner body');
    expect(mail.htmlText()).toBe('<p>hello</p>');
  });

  it('knows files by every name that a reader may take', () => {
    const [file] = mail.attachments as [MailPart];
    expect(file.filename).toBe('naïve.exe');
    expect(file.filenames).toEqual(['naïve.exe', 'other.bin']);
    expect(file.content()).toEqual(Buffer.from([0, 1, 2, 3]));
  });

  it('leaves the octets of a part as they stand in the message, without the line end before the boundary', () => {
    const part = mail.parts[0] as MailPart;
    const at = MIXED.indexOf('Content-Type: multipart/alternative');
    expect(part.whole.equals(MIXED.subarray(at, MIXED.indexOf('\r\n--b 1', at)))).toBe(true);
    expect(part.whole.buffer).toBe(MIXED.buffer);
  });
});

describe('what is malformed is read as mail programs read it', () => {
  it.each<[string, Buffer, string, string]>([
    [
      'a boundary never used',
      message('Content-Type: multipart/mixed; boundary=x', '', 'text'),
      'boundary-never-used',
      '',
    ],
    [
      'a boundary not declared',
      message('Content-Type: multipart/mixed', '', '--guess', '', 'found', '--guess--'),
      'no-boundary',
      'found',
    ],
    [
      'a boundary not closed',
      message('Content-Type: multipart/mixed; boundary=x', '', '--x', '', 'open'),
      'boundary-not-closed',
      'open',
    ],
    ['no empty line', message('Subject: only'), 'no-header-end', ''],
    ['an unknown encoding', message('Content-Transfer-Encoding: rot13', '', 'text'), 'unknown-encoding', 'text'],
    [
      'two types',
      message('Content-Type: text/plain', 'Content-Type: text/html', '', 'x'),
      'repeated-structure-field',
      'x',
    ],
  ])('%s', (_, octets, defect, text) => {
    const mail = parseMail(octets);
    expect([...mail.defects]).toEqual([defect]);
    expect(mail.plainText()).toBe(text);
  });

  it('goes on after padding in the middle of base64', () => {
    const mail = parseMail(message('Content-Transfer-Encoding: base64', '', 'WDVP', 'IVA=', 'JUBB', '', ''));
    expect(mail.text()).toBe('X5O!P%@A');
  });

  it('stops at the limits of depth and number, and says so', () => {
    const deep = Array.from({ length: 40 }, (_, i) => `Content-Type: multipart/mixed; boundary=b${i}\r\n\r\n--b${i}`);
    const nested = parseMail(Buffer.from(`${deep.join('\r\n')}\r\n\r\nbottom`));
    expect(nested.defects).toContain('too-deep');
    const many = parseMail(
      Buffer.from(`Content-Type: multipart/mixed; boundary=b\r\n\r\n${'--b\r\n\r\nx\r\n'.repeat(5_000)}`),
    );
    expect(many.defects).toContain('too-many-parts');
    expect(many.all.length).toBe(1_000);
  });

  it('throws at nothing', () => {
    const word = fc.constantFrom(
      ...[
        'Content-Type: multipart/mixed; boundary=',
        'b',
        '--b',
        '--',
        '\r\n',
        '\n',
        '\r\n\r\n',
        '=',
        '"',
        '(',
        ';',
        '*0*=',
      ],
      ...[
        'Content-Transfer-Encoding: base64',
        'quoted-printable',
        "filename*=utf-8''%",
        '=?utf-8?b?',
        '?=',
        '\xff',
        ' ',
      ],
      ...['Content-Type: message/rfc822', 'charset=iso-2022-jp', 'Content-Disposition: attachment; '],
    );
    const octets = fc.oneof(
      fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
      fc.array(word, { maxLength: 60 }).map((words) => Buffer.from(words.join(''), 'latin1')),
    );
    fc.assert(
      fc.property(octets, (bytes) => {
        const before = Buffer.from(bytes);
        const mail = parseMail(bytes);
        for (const part of mail.all) {
          part.text();
          part.fields.length;
        }
        mail.plainText();
        expect(bytes.equals(before)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

const folder = fixtures('mime-mail-parser');

describe.skipIf(!folder)('the messages of mime-mail-parser, many malformed (fixture mime-mail-parser)', () => {
  const files = folder
    ? readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.eml'))
    : [];

  it('are all there', () => expect(files.length).toBeGreaterThanOrEqual(100));

  it.each(files)('%s', async (name) => {
    const octets = readFileSync(join(folder as string, name));
    const mail = parseMail(octets);
    for (const leaf of mail.leaves) leaf.text();
    // A file that another parser finds, we find too.
    const other = await simpleParser(octets, { skipTextToHtml: true, skipImageLinks: true }).catch(() => undefined);
    const ours = mail.leaves.map((leaf) => leaf.content().toString('latin1').trim());
    for (const { content, contentType } of other?.attachments ?? []) {
      if (/^(?:message|multipart)\//.test(contentType)) continue;
      expect(ours).toContain(content.toString('latin1').trim());
    }
  });
});
