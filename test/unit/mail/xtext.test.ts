import { decodeXtext, encodeUtf8Address, encodeXtext, formatOrcpt, parseOrcpt } from '@waypost/mail';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

const printable = fc
  .string({ unit: 'grapheme' })
  .filter((text) => text.isWellFormed() && !/[\x00-\x1f\x7f-\x9f]/.test(text));

describe('xtext', () => {
  test('comes back as it went in', () => {
    fc.assert(
      fc.property(printable, (text) => {
        const encoded = encodeXtext(text);
        expect(encoded).toMatch(/^[\x21-\x7e]*$/);
        expect(encoded).not.toContain('=');
        expect(decodeXtext(encoded)).toBe(text);
      }),
    );
  });

  test.each([
    ['a+2Bb', 'a+b'],
    ['a+3db', 'a=b'],
    ['+C3+A9', 'é'],
    ['', ''],
  ])('%j is %j', (text, expected) => expect(decodeXtext(text)).toBe(expected));

  test.each(['a b', 'a=b', 'a+', 'a+2', 'a+zz', 'é', 'a+0D+0A', 'a+00', 'a+7F', '+C3', '+C2+85'])(
    '%j is none',
    (text) => {
      expect(decodeXtext(text)).toBeUndefined();
    },
  );
});

describe('ORCPT', () => {
  test.each([
    ['rfc822;joe@x.test', 'rfc822;joe@x.test'],
    ['rfc822;joe+2Btag@x.test', 'rfc822;joe+tag@x.test'],
    ['utf-8;jo\\x{E9}@x.test', 'utf-8;joé@x.test'],
    ['utf-8;joé@x.test', 'utf-8;joé@x.test'],
    ['X400;/a+3Db/', 'X400;/a=b/'],
  ])('%s', (value, expected) => expect(parseOrcpt(value)).toBe(expected));

  test.each([
    '',
    'joe@x.test',
    ';joe@x.test',
    'rfc822;',
    'rf c;joe',
    'rfc822;a b',
    'rfc822;joé@x.test',
    'utf-8;\\x{D800}',
    'utf-8;\\x{110000}',
    'utf-8;\\x{0D}',
    'utf-8;a\\b',
    `rfc822;${'a'.repeat(500)}`,
  ])('refuses %j', (value) => expect(parseOrcpt(value)).toBeUndefined());

  test('comes back as it went in, over ASCII and over SMTPUTF8', () => {
    fc.assert(
      fc.property(
        printable.filter((text) => text !== '' && text.length < 40),
        fc.constantFrom('rfc822', 'utf-8'),
        fc.boolean(),
        (address, type, smtputf8) => {
          const formatted = formatOrcpt(`${type};${address}`, smtputf8);
          expect(parseOrcpt(formatted)).toBe(`${type};${address}`);
          if (!smtputf8) expect(formatted).toMatch(/^[\x21-\x7e]+$/);
        },
      ),
    );
  });

  test('escapes as RFC 6533 does', () => {
    expect(encodeUtf8Address('é+=\\@x', false)).toBe('\\x{E9}\\x{2B}\\x{3D}\\x{5C}@x');
    expect(encodeUtf8Address('é+=\\@x', true)).toBe('é\\x{2B}\\x{3D}\\x{5C}@x');
  });
});
