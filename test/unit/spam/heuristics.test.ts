import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseMail } from '@waypost/mime';
import { createLookalikeFinder, runHeuristics, SYMBOLS } from '@waypost/spam';
import { describe, expect, it } from 'vitest';
import { GTUBE } from '../../support/filters.js';

const AT = Date.parse('Wed, 25 Nov 2026 09:00:00 +0000');
const USUAL = {
  from: 'Ann <ann@partner.test>',
  to: 'bob@example.com',
  subject: 'Lunch on Friday',
  date: 'Wed, 25 Nov 2026 08:59:00 +0000',
  'message-id': '<1@partner.test>',
};

function symbols(
  fields: Record<string, string | undefined>,
  body = 'See you there.\r\n',
  protect = ['example.com', 'paypal.com'],
) {
  const lines = Object.entries({ ...USUAL, ...fields }).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}`],
  );
  const { found } = runHeuristics({
    mail: parseMail(Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`, 'utf8')),
    receivedAt: AT,
    recipients: ['bob@example.com'],
    lookalikes: createLookalikeFinder(protect),
  });
  return found.map(({ symbol }) => symbol).sort();
}

const HTML = { 'mime-version': '1.0', 'content-type': 'text/html; charset=utf-8' };
const html = (markup: string, protect?: string[]) =>
  symbols(HTML, `${markup}<p>${'Some words that are shown. '.repeat(10)}</p>`, protect).filter(
    (name) => name !== 'MIME_HTML_ONLY',
  );

describe('heuristics', () => {
  it('find nothing in an ordinary message', () => {
    expect(symbols({})).toEqual([]);
    expect(html('<p>Hello <a href="https://www.partner.test/x">partner.test</a></p>')).toEqual([]);
  });

  it.each<[string, Record<string, string | undefined>, string[]]>([
    ['no Date', { date: undefined }, ['DATE_MISSING']],
    ['a date that is none', { date: 'soon' }, ['DATE_INVALID']],
    ['a date ahead', { date: 'Fri, 27 Nov 2026 10:00:00 +0000' }, ['DATE_IN_FUTURE']],
    ['an old date', { date: 'Fri, 27 Feb 2026 10:00:00 +0000' }, ['DATE_IN_PAST']],
    ['no From', { from: undefined }, ['FROM_MISSING']],
    [
      "another's address as name",
      { from: '"ceo@example.com" <x@evil.test>' },
      ['FROM_NAME_IS_BRAND', 'FROM_NAME_IS_OTHER_ADDRESS'],
    ],
    ['itself as sender', { from: 'bob@example.com' }, ['FROM_IS_RECIPIENT']],
    ['a made-up local part', { from: 'kx7b2q9@partner.test' }, ['FROM_RANDOM']],
    ['no Message-ID', { 'message-id': undefined }, ['MESSAGE_ID_MISSING']],
    ['a bad Message-ID', { 'message-id': '<none>' }, ['MESSAGE_ID_INVALID']],
    ['answers to a free mailbox', { 'reply-to': 'x@gmail.com' }, ['REPLY_TO_FREE_MAIL']],
    ['no recipient named', { to: undefined }, ['TO_MISSING']],
    ['undisclosed recipients', { to: 'undisclosed-recipients:;' }, ['TO_UNDISCLOSED']],
    ['capitals', { subject: 'CLICK THIS NOW' }, ['SUBJECT_CAPITALS']],
    ['shouting', { subject: 'Now!!' }, ['SUBJECT_SHOUTS']],
    ['a mark after a gap', { subject: 'Cheap things          kd82j' }, ['SUBJECT_GAP']],
    ['needless encoding', { subject: '=?utf-8?b?SGVsbG8=?=' }, ['SUBJECT_ENCODED_ASCII']],
    ['hidden characters', { subject: 'Acc\u200bount' }, ['SUBJECT_HIDDEN_CHARACTERS']],
    ['a false reply', { subject: 'Re: hello' }, ['SUBJECT_FALSE_REPLY']],
    ['a look-alike by letters', { from: 'x@examp1e.com' }, ['FROM_LOOKALIKE']],
    ['a look-alike by distance', { from: 'x@exmaple.com' }, ['FROM_LOOKALIKE']],
    ['a look-alike in another script', { from: 'x@ехаmрlе.com' }, ['FROM_LOOKALIKE', 'FROM_MIXED_SCRIPTS']],
    ['a brand below another domain', { from: 'x@example.com.evil.test' }, ['FROM_LOOKALIKE']],
    ['the same name under another ending', { from: 'x@example.net' }, []],
  ])('%s', (_, fields, expected) => {
    expect(symbols(fields)).toEqual(expected);
  });

  it.each<[string, string, string[]]>([
    ['another host shown', '<a href="https://evil.test/">www.bank.test</a>', ['LINK_TEXT_MISMATCH']],
    ['an address', '<a href="http://192.0.2.7/x">here</a>', ['LINK_ADDRESS']],
    ['an address as a number', '<a href="http://3221225991/x">here</a>', ['LINK_ADDRESS_DISGUISED']],
    ['an address in hex', '<a href="http://0xc0.0x00.0x02.0x07/">here</a>', ['LINK_ADDRESS_DISGUISED']],
    ['a page within', '<a href="data:text/html;base64,PGI+">here</a>', ['LINK_DATA']],
    ['a script', '<a href="java\tscript:alert(1)">here</a>', ['LINK_SCRIPT']],
    ['a user that looks like a host', '<a href="https://www.bank.test@evil.test/">here</a>', ['LINK_USER']],
    ['an escaped host', '<a href="https://%65vil.test/">here</a>', ['LINK_ESCAPED_HOST']],
    ['an international host', '<a href="https://münchen.test/">here</a>', ['LINK_PUNYCODE']],
    ['mixed scripts', '<a href="https://pаrtner.test/">here</a>', ['LINK_MIXED_SCRIPTS']],
    ['another script throughout', '<a href="https://xn--80ak6aa92e.com/">here</a>', ['LINK_MIXED_SCRIPTS']],
    ['a look-alike', '<a href="https://paypa1.com/">here</a>', ['LINK_LOOKALIKE']],
    ['a brand in the host', '<a href="https://paypal.com.account.test/">here</a>', ['LINK_BRAND_IN_HOST']],
    ['a brand with a dash', '<a href="https://paypal-login.test/">here</a>', ['LINK_BRAND_IN_HOST']],
    [
      'redirects',
      '<a href="https://a.test/?u=https%3A%2F%2Fb.test%2F%3Fu%3Dhttps%253A%252F%252Fc.test">here</a>',
      ['LINK_REDIRECTS'],
    ],
    ['a shortener', '<a href="https://bit.ly/abc">here</a>', ['LINK_SHORTENER']],
    ['a port', '<a href="https://a.test:4444/">here</a>', ['LINK_PORT']],
    ['a program', '<a href="https://a.test/update.exe">here</a>', ['LINK_PROGRAM']],
    ['a form', '<form action="https://a.test/"><input name=x></form>', ['HTML_FORM']],
    ['a password', '<form><input type="password"></form>', ['HTML_PASSWORD']],
    ['a script', '<script>x()</script>', ['HTML_SCRIPT']],
    ['a frame', '<iframe src="https://a.test/"></iframe>', ['HTML_FRAME']],
    ['a refresh', '<meta http-equiv="refresh" content="0; url=https://a.test/">', ['HTML_REFRESH']],
    ['hidden text', `<div style="display: none">${'words that nobody sees '.repeat(20)}</div>`, ['HTML_HIDDEN_TEXT']],
    ['split words', 'v<!-- x -->iagra c<!-- -->heap p<!-- -->ills n<!-- -->ow', ['HTML_SPLIT_WORDS']],
  ])('in markup: %s', (_, markup, expected) => {
    expect(html(markup)).toEqual(expected);
  });

  it('find the spam test pattern, in base64 too', () => {
    expect(symbols({}, GTUBE)).toEqual(['GTUBE']);
    const base64 = Buffer.from(`${GTUBE}\r\n`).toString('base64');
    expect(symbols({ 'mime-version': '1.0', 'content-transfer-encoding': 'base64' }, base64)).toContain('GTUBE');
  });

  it('read mail that is made to take long', () => {
    const hostile = [
      '<a href="http://'.repeat(20_000),
      '<div style="display:none">'.repeat(20_000),
      `${' '.repeat(200_000)}x`,
      '<'.repeat(200_000),
      '$1 '.repeat(60_000),
      'remove me '.repeat(20_000),
    ];
    // What grows by the square would run into the suite's time limit.
    for (const body of hostile) expect(symbols(HTML, body)).toContain('MIME_HTML_ONLY');
  });
});

describe('docs/spam.md', () => {
  it('has every symbol with its score and meaning', () => {
    const text = readFileSync(resolve(import.meta.dirname, '../../../docs/spam.md'), 'utf8');
    const rows = [...text.matchAll(/^\| `([A-Z0-9_]+)` \| (-?[\d.]+) \| (.+) \|$/gm)].map(
      ([, name, score, meaning]) => [name, Number(score), meaning],
    );
    const expected = Object.entries(SYMBOLS).map(([name, { score, meaning }]) => [name, score, meaning]);
    expect(rows).toEqual(expected);
  });
});
