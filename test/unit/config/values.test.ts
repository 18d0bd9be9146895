import { configJsonSchema, loadConfig, Networks } from '@waypost/config';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

const size = (text: string | number) =>
  loadConfig({ text: JSON.stringify({ limits: { message_size: text } }) }).limits.message_size;
const time = (text: string | number) => loadConfig({ text: JSON.stringify({ grace: text }) }).grace;

describe('sizes', () => {
  test.each([
    [0, 0],
    [1024, 1024],
    ['512', 512],
    ['512B', 512],
    ['64KiB', 65_536],
    ['64kib', 65_536],
    ['64 KB', 64_000],
    ['1.5MiB', 1_572_864],
    ['25MB', 25_000_000],
    ['2GiB', 2_147_483_648],
    ['1GB', 1_000_000_000],
  ])('%j is %d octets', (text, octets) => expect(size(text)).toBe(octets));

  test.each(['', '-1', '1.KiB', '64K', 'KiB', '1 TiB', '0x10', '1e3', ' 1', -1, 1.5])('%j is none', (text) => {
    expect(() => size(text)).toThrow(/limits\.message_size: /);
  });
});

describe('durations', () => {
  test.each([
    [0, 0],
    [250, 250],
    ['250', undefined],
    ['250ms', 250],
    ['30s', 30_000],
    ['1.5s', 1500],
    ['5m', 300_000],
    ['4h', 14_400_000],
    ['5d', 432_000_000],
    ['5 d', 432_000_000],
  ])('%j is %j ms', (text, milliseconds) => {
    if (milliseconds === undefined) expect(() => time(text)).toThrow(`"${text}" is not a duration`);
    else expect(time(text)).toBe(milliseconds);
  });

  test.each(['', '5M', '5w', '-5s', 's', '5 s s', -1, 0.5])('%j is none', (text) => {
    expect(() => time(text)).toThrow(/grace: /);
  });
});

describe('networks', () => {
  test.each([
    [['10.0.0.0/8'], '10.255.0.1', true],
    [['10.0.0.0/8'], '11.0.0.1', false],
    [['10.0.0.0/8'], '::ffff:10.1.2.3', true],
    [['10.0.0.0/8'], '::FFFF:10.1.2.3', true],
    [['192.0.2.7'], '192.0.2.7', true],
    [['192.0.2.7'], '192.0.2.8', false],
    [['fd00::/8'], 'fd12:3456::1', true],
    [['fd00::/8'], 'fe80::1', false],
    [['2001:db8::1'], '2001:0db8:0:0:0:0:0:1', true],
    [['::1'], '127.0.0.1', false],
    [['127.0.0.0/8', '::1'], '::1', true],
    [[], '127.0.0.1', false],
    [['127.0.0.0/8'], undefined, false],
    [['127.0.0.0/8'], 'localhost', false],
  ])('%j holds %j: %j', (entries, address, expected) => {
    expect(new Networks(entries).has(address)).toBe(expected);
  });

  test.each([
    '',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    'fd00::/129',
    '10.0.0',
    'host',
    '10.0.0.0/8.5',
  ])('%j is none', (entry) => expect(() => new Networks([entry])).toThrow(`"${entry}" is no network`));

  test('a prefix holds exactly the addresses that share its bits', () => {
    const word = fc.integer({ min: 0, max: 0xffffffff });
    const dotted = (value: number) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
    fc.assert(
      fc.property(word, word, fc.integer({ min: 1, max: 32 }), (network, address, bits) => {
        const mask = (0xffffffff << (32 - bits)) >>> 0;
        // Half of the addresses are near, else hardly one would be inside.
        for (const one of [address, ((network & mask) | (address & ~mask)) >>> 0]) {
          const inside = (one & mask) >>> 0 === (network & mask) >>> 0;
          expect(new Networks([`${dotted(network)}/${bits}`]).has(dotted(one))).toBe(inside);
        }
      }),
    );
  });
});

describe('the JSON Schema', () => {
  const schema = configJsonSchema() as {
    type: string;
    additionalProperties: boolean;
    properties: Record<string, { properties?: Record<string, { anyOf?: unknown[]; enum?: string[] }> }>;
    required?: string[];
  };

  test('knows every section and refuses others', () => {
    expect(schema.type).toBe('object');
    expect(schema.additionalProperties).toBe(false);
    expect(Object.keys(schema.properties).sort()).toEqual(Object.keys(loadConfig({})).sort());
    expect(schema.required ?? []).toEqual([]);
  });

  test('is of what is written, not of what is read', () => {
    expect(schema.properties.limits?.properties?.message_size?.anyOf).toEqual([
      expect.objectContaining({ type: 'integer' }),
      expect.objectContaining({ type: 'string' }),
    ]);
    expect(schema.properties.spool?.properties?.blobs?.enum).toEqual(['fs', 's3', 'redis']);
  });
});
