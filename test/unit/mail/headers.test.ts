import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type FieldSpan,
  fieldValue,
  firstValue,
  headerEnd,
  headerFields,
  isAutomatic,
  isSevenBit,
  normaliseLineEnds,
  withoutFields,
} from '@waypost/mail';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fixtures } from '../../support/fixtures.js';

const message = (text: string) => Buffer.from(text.replaceAll('\n', '\r\n'));
const names = (buffer: Buffer) => headerFields(buffer).map((field) => field.name);

describe('headerEnd', () => {
  test.each([
    ['A: b\n\nbody', 8],
    ['\nbody', 2],
    ['A: b\n', -1],
    ['', -1],
    ['A: b\n\n', 8],
  ])('of %j is %i', (text, end) => expect(headerEnd(message(text))).toBe(end));

  test('is found with bare LF too', () => expect(headerEnd(Buffer.from('A: b\n\nbody'))).toBe(6));

  test('is found wherever it lies', () => {
    for (const length of [
      4085, 4090, 4091, 4092, 4093, 4094, 4095, 4096, 4097, 20_470, 20_475, 20_478, 20_480, 90_000,
    ]) {
      const buffer = Buffer.from(`A: ${'x'.repeat(length)}\r\n\r\nbody\r\n\r\n`);
      expect(headerEnd(buffer)).toBe(length + 7);
    }
  });
});

describe('headerFields', () => {
  test('gives names, folded values and places', () => {
    const buffer = message('Subject: one\n two\n\tthree\nX-Empty:\nFrom : joe\n\nNot: a field');
    const fields = headerFields(buffer);
    expect(fields.map((field) => [field.name, fieldValue(buffer, field)])).toEqual([
      ['subject', 'one two three'],
      ['x-empty', ''],
      ['from', 'joe'],
    ]);
    expect(fields.map((field) => buffer.toString('latin1', field.start, field.end))).toEqual([
      'Subject: one\r\n two\r\n\tthree\r\n',
      'X-Empty:\r\n',
      'From : joe\r\n',
    ]);
  });

  test('passes over what is no field', () => {
    expect(
      names(message('From joe Mon 12:00\n lost: continuation\nno colon\n: no name\nA b: c\nGood: yes\n\n')),
    ).toEqual(['good']);
  });

  test('takes a name only from the first line of a field', () =>
    expect(names(message('word\n x: y\nA: b\n\n'))).toEqual(['a']));

  test('reads UTF-8 values, and broken ones without throwing', () => {
    const buffer = Buffer.concat([Buffer.from('Subject: é '), Buffer.from([0xff, 0xfe]), Buffer.from('\r\n\r\n')]);
    expect(firstValue(buffer, headerFields(buffer), 'subject')).toBe('é \ufffd\ufffd');
  });

  test('takes time in proportion to the section, even where no line has a colon', () => {
    const lines = 200_000;
    expect(headerFields(Buffer.from('x\r\n'.repeat(lines)))).toEqual([]);
  });
});

describe('withoutFields', () => {
  const bcc = (fields: FieldSpan[]) => fields.filter((field) => field.name === 'bcc');

  test('removes fields with their folds', () => {
    const buffer = message('A: 1\nBcc: x,\n y\nbcc : z\nB: 2\n\nBcc: body');
    expect(withoutFields(buffer, bcc(headerFields(buffer)))).toEqual(message('A: 1\nB: 2\n\nBcc: body'));
  });

  test('gives the same buffer where there is nothing to remove', () => {
    const buffer = message('A: 1\n\n');
    expect(withoutFields(buffer, [])).toBe(buffer);
  });

  test('never throws on any octets and leaves all else in its place', () => {
    const soup = fc.array(
      fc.constantFrom(
        'a',
        'Bcc',
        ':',
        ' ',
        '\t',
        '\r',
        '\n',
        '\r\n',
        'x: y\r\n',
        'Bcc: q\r\n',
        '\r\n\r\n',
        '\u00ff',
        '\0',
      ),
    );
    fc.assert(
      fc.property(soup, (parts) => {
        const buffer = Buffer.from(parts.join(''), 'latin1');
        const fields = headerFields(buffer);
        const removed = bcc(fields);
        const left = withoutFields(buffer, removed);
        expect(left.length).toBe(buffer.length - removed.reduce((sum, field) => sum + field.end - field.start, 0));
        expect(headerFields(left).filter((field) => field.name === 'bcc')).toEqual([]);
        for (const field of fields) {
          expect(field.start < field.value && field.value <= field.end).toBe(true);
          fieldValue(buffer, field);
        }
      }),
    );
  });
});

test.each([
  ['Precedence: bulk', true],
  ['Precedence: first-class', false],
  ['Auto-Submitted: auto-generated (x)', true],
  ['Auto-Submitted: no', false],
  ['List-Id: <l.x.test>', true],
  ['Subject: Precedence: bulk', false],
])('isAutomatic with %j is %s', (field, expected) => {
  const buffer = message(`${field}\n\n`);
  expect(isAutomatic(buffer, headerFields(buffer))).toBe(expected);
});

test('isSevenBit', () => {
  expect(isSevenBit(Buffer.from('abc\r\n'))).toBe(true);
  expect(isSevenBit(Buffer.from('é'))).toBe(false);
});

const corpus = fixtures('mime-mail-parser/eml');
describe.skipIf(!corpus)(
  `every message of the mime-mail-parser fixtures${corpus ? '' : ' (SKIPPED: fixtures are missing)'}`,
  () => {
    const files = corpus
      ? readdirSync(corpus, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.eml'))
      : [];

    test.each(files)('%s', (file) => {
      const raw = readFileSync(join(corpus as string, file));
      const buffer = normaliseLineEnds(raw);
      expect(buffer.toString('latin1').split('\r\n').join('\n')).toBe(
        raw.toString('latin1').replace(/\r\n|\r|\n/g, '\n'),
      );
      const fields = headerFields(buffer);
      const end = headerEnd(buffer);
      expect(fields.every((field) => field.end <= (end < 0 ? buffer.length : end))).toBe(true);
      for (const field of fields) fieldValue(buffer, field);
      const rest = withoutFields(buffer, fields);
      const kept = fields.map((field) => buffer.subarray(field.start, field.end));
      expect(rest.length + kept.reduce((sum, part) => sum + part.length, 0)).toBe(buffer.length);
      if (end >= 0) expect(rest.subarray(rest.length - (buffer.length - end))).toEqual(buffer.subarray(end));
    });
  },
);
