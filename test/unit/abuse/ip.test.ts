import { isIPv6 } from 'node:net';
import { BanTable, formatNetwork, networkOf, parseAddress, parseNetwork, prefixOf } from '@waypost/abuse';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const text = (address: string, bits: number) => {
  const parsed = parseAddress(address);
  return parsed && formatNetwork(networkOf(parsed, bits));
};

describe('addresses and networks', () => {
  it.each([
    ['192.0.2.77', 24, '192.0.2.0/24'],
    ['192.0.2.77', 32, '192.0.2.77'],
    ['255.255.255.255', 1, '128.0.0.0/1'],
    ['::ffff:192.0.2.77', 32, '192.0.2.77'],
    ['2001:db8:1:2:3:4:5:6', 64, '2001:db8:1:2::/64'],
    ['2001:db8:1:2:3:4:5:6', 56, '2001:db8:1::/56'],
    ['2001:0DB8::0001', 128, '2001:db8::1'],
    ['2001:db8:0:1:1:1:1:1', 128, '2001:db8:0:1:1:1:1:1'],
    ['fe80::1%eth0', 64, 'fe80::/64'],
    ['::', 128, '::'],
    ['::1', 128, '::1'],
    ['64:ff9b::192.0.2.1', 128, '64:ff9b::c000:201'],
  ])('%s within %i bits is %s', (address, bits, network) => {
    expect(text(address, bits)).toBe(network);
  });

  it.each([
    '',
    '1.2.3',
    '1.2.3.256',
    '01.2.3.4',
    '1.2.3.4.5',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    'g::',
    '12345::',
    'relay.test',
  ])('"%s" is no address', (address) => {
    expect(parseAddress(address)).toBeUndefined();
  });

  it.each(['192.0.2.0/33', '192.0.2.0/', '/24', '2001:db8::/129', '192.0.2.0/24/8', '::ffff:192.0.2.0/24'])(
    '"%s" is no network',
    (network) => {
      expect(parseNetwork(network)).toBeUndefined();
    },
  );

  it('reads what it writes, for every address there is', () => {
    const groups = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), {
      minLength: 8,
      maxLength: 8,
    });
    fc.assert(
      fc.property(groups, fc.integer({ min: 0, max: 128 }), (list, bits) => {
        const address = list.map((group) => group.toString(16)).join(':');
        const parsed = parseAddress(address);
        if (!parsed || parsed.version === 4) return;
        const network = networkOf(parsed, bits);
        expect(isIPv6(formatNetwork(network).split('/')[0] ?? '')).toBe(true);
        expect(parseNetwork(formatNetwork(network))).toEqual(network);
      }),
    );
  });

  it('counts what is one by its prefix', () => {
    const prefixes = { ipv4: 24, ipv6: 48 };
    expect(prefixOf('192.0.2.7', prefixes)).toBe('192.0.2.0/24');
    expect(prefixOf('2001:db8:7:8::1', prefixes)).toBe('2001:db8:7::/48');
    expect(prefixOf('nowhere', prefixes)).toBeUndefined();
    expect(prefixOf(undefined, prefixes)).toBeUndefined();
  });
});

describe('the table of bans', () => {
  it('finds an address in networks of any length, until each ends', () => {
    const table = new BanTable(() => 100);
    table.set('192.0.2.0/24', 5_000, 1_000);
    table.set('198.51.100.7', 3_000, 1_000);
    table.set('2001:db8:1:2::/64', 4_000, 1_000);
    expect(table.find('192.0.2.200', 2_000)).toBe(5_000);
    expect(table.find('192.0.3.1', 2_000)).toBeUndefined();
    expect(table.find('::ffff:198.51.100.7', 2_000)).toBe(3_000);
    expect(table.find('2001:db8:1:2:ffff::1', 2_000)).toBe(4_000);
    expect(table.find('2001:db8:1:3::1', 2_000)).toBeUndefined();
    expect(table.find('198.51.100.7', 3_000)).toBeUndefined();
  });

  it('lifts a ban, and forgets what has ended', () => {
    const table = new BanTable(() => 100);
    table.set('192.0.2.1', 5_000, 1_000);
    table.set('192.0.2.2', 2_000, 1_000);
    table.set('192.0.2.1', 0, 1_000);
    expect(table.find('192.0.2.1', 1_500)).toBeUndefined();
    expect(table.size).toBe(1);
    table.prune(2_000);
    expect(table.size).toBe(0);
  });

  it('holds no more than it may', () => {
    const table = new BanTable(() => 100);
    for (let at = 0; at < 1000; at += 1) table.set(`10.0.${at >> 8}.${at & 255}`, 5_000, 1_000);
    expect(table.size).toBe(100);
    expect(table.find('10.0.3.231', 2_000)).toBe(5_000);
    expect(table.find('10.0.0.1', 2_000)).toBeUndefined();
  });
});
