import { baseModel, Classifier, FeatureBag, featuresOf, KINDS, letterOf, openMail } from '@waypost/classifier';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const classifier = new Classifier(baseModel());
const WORDS = 'Dear customer, your account is waiting. Click below to claim 1,000,000 dollars, now!';
const HEAD = ['From: Ann <ann@example.com>', 'To: bob@example.org', 'Subject: Your account', 'MIME-Version: 1.0'];

const message = (...lines: string[]) => Buffer.from([...HEAD, ...lines].join('\r\n'), 'latin1');
const plain = (text = WORDS) => message('Content-Type: text/plain; charset=utf-8', '', text);

/** Names of the features of some kinds. */
function named(octets: Buffer, ...kinds: string[]): string[] {
  const bag = featuresOf(letterOf(openMail(octets)), new FeatureBag());
  const at = Array.from({ length: bag.size }, (_, index) => index);
  return at
    .filter((index) => kinds.includes(KINDS[bag.kinds[index] as number] as string))
    .map((index) => bag.name(index).toLowerCase());
}

const words = (octets: Buffer) => named(octets, 'word', 'pair').sort();

describe('what the classifier reads of a message', () => {
  it('finds the same words in every dress of a letter', () => {
    const html = WORDS.replace('account', '<b>acc</b>ount').replace(', ', ',&#32;');
    const utf16 = Buffer.from(WORDS, 'utf16le');
    const dressed = [
      message('Content-Transfer-Encoding: base64', '', Buffer.from(WORDS).toString('base64')),
      message(
        'Content-Transfer-Encoding: quoted-printable',
        '',
        WORDS.replace('your', '=79our').replace('to', 'to=\r\n'),
      ),
      message('Content-Type: text/html', '', `<html><style>p { color: red }</style><p>${html}</p></html>`),
      message(
        'Content-Type: text/plain; charset=utf-16le',
        'Content-Transfer-Encoding: base64',
        '',
        utf16.toString('base64'),
      ),
      message('Content-Type: multipart/mixed; boundary=x', '', '--x', '', WORDS, '--x--'),
    ];
    for (const one of dressed) expect(words(one)).toEqual(words(plain()));
  });

  it('reads look-alike and invisible characters as what a person sees', () => {
    const disguised = WORDS.replace('account', 'ac\u200bco\u00adunt').replace('waiting', '\u{1d430}aiting');
    const octets = Buffer.concat([message('Content-Type: text/plain; charset=utf-8', '', ''), Buffer.from(disguised)]);
    expect(words(octets)).toEqual(words(plain()));
  });

  it('leaves out what is not shown, and notes that it was there', () => {
    const salad = 'meeting minutes agenda project schedule '.repeat(5);
    const html = message('Content-Type: text/html', '', `${WORDS}<div style="display:none">${salad}</div>`);
    expect(words(html)).toEqual(words(plain()));
    expect(named(html, 'fact')).toContain('hidden text');
  });

  it('leaves out the words of others: quotes, signatures, footers of lists', () => {
    const reply = `> we talked of mortgages\r\n${WORDS}\r\n${'_'.repeat(40)}\r\nUnsubscribe at the list's page`;
    expect(words(plain(reply))).toEqual(words(plain()));
    expect(words(plain(`${WORDS}\r\n-- \r\nAnn, Head of Things`))).toEqual(words(plain()));
  });

  it('does not let a sender hide a letter behind a signature mark', () => {
    expect(words(plain(`Hello\r\n-- \r\n${WORDS}`))).toContain('claim');
  });

  it('keeps the same verdict whatever the way, the list and other filters added', () => {
    const added = [
      'From ann@example.com  Thu Aug 22 12:36:23 2002',
      'Return-Path: <ann@example.com>',
      'Delivered-To: someone@collector.example',
      'Received: from a.example by collector.example; Thu, 22 Aug 2002 12:36:23 +0100',
      'X-Spam-Status: Yes, hits=15.0',
      'List-Id: Talk <talk.example.org>',
      'Precedence: bulk',
      'X-Mailman-Version: 2.0.9',
      '',
    ].join('\r\n');
    const travelled = Buffer.concat([Buffer.from(added), plain()]);
    expect(classifier.classify(openMail(travelled)).score).toBe(classifier.classify(openMail(plain())).score);
  });

  it('compares a link with the address that it shows', () => {
    const link = (href: string) =>
      message('Content-Type: text/html', '', `<a href="${href}">https://bank.example/login</a>`);
    expect(named(link('https://bank.attacker.test/'), 'fact')).toContain('link shows another site');
    expect(named(link('https://www.bank.example/'), 'fact')).not.toContain('link shows another site');
  });

  it('never throws, and gives a number and at most six reasons, whatever it is given', () => {
    const lines = fc.array(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.constantFrom('', '--x', '--x--', 'Content-Type: multipart/mixed; boundary=x', 'Content-Type: text/html'),
        fc.constantFrom('<a href="http://[">', '<!--', '<![CDATA[', '<style>', '&#x110000;', '=?x?b?=?=', '> ', '-- '),
        fc.constantFrom('Content-Transfer-Encoding: base64', 'Subject: =?utf-7?q?+AD?=', 'From: "<a@b', 'Date: \t'),
      ),
    );
    const octets = fc.oneof(
      fc.uint8Array({ maxLength: 2_000 }).map((one) => Buffer.from(one)),
      lines.map((list) => Buffer.from(list.join('\n'))),
    );
    fc.assert(
      fc.property(octets, (one) => {
        const { score, probability, reasons } = classifier.classify(openMail(one));
        expect(Number.isFinite(score)).toBe(true);
        expect(probability).toBeGreaterThanOrEqual(0);
        expect(probability).toBeLessThanOrEqual(1);
        expect(reasons.length).toBeLessThanOrEqual(6);
      }),
      { numRuns: 500 },
    );
  });

  it('looks at no more than so much of a message', () => {
    const long = Array.from({ length: 400_000 }, (_, at) => `w${at.toString(36)}x`).join(' ');
    const tags = Array.from({ length: 100_000 }, (_, at) => `<t${at} a${at}=b>`).join('');
    for (const octets of [plain(long), plain('x'.repeat(5_000_000)), message('Content-Type: text/html', '', tags)]) {
      const { size } = featuresOf(letterOf(openMail(octets)), new FeatureBag());
      expect(size).toBeLessThan(5_000);
    }
  });
});
