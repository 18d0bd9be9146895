import { formatProxyHeader, parseProxyHeader } from '@waypost/smtp';
import { describe, expect, it } from 'vitest';

const SIGNATURE = '0d0a0d0a000d0a515549540a';

describe('a PROXY header, version 2', () => {
  it('for IPv4 is what proxy-protocol.txt §2.2 draws', () => {
    const header = formatProxyHeader({ address: '192.0.2.1', port: 0 }, { address: '198.51.100.25', port: 25 });
    expect(header.toString('hex')).toBe(`${SIGNATURE}2111000cc0000201c633641900000019`);
  });

  it.each([
    ['2001:db8::1', '20010db8000000000000000000000001'],
    ['::1', '00000000000000000000000000000001'],
    ['::', '00000000000000000000000000000000'],
    ['fe80::', 'fe800000000000000000000000000000'],
    ['::ffff:192.0.2.1', '00000000000000000000ffffc0000201'],
    ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
    ['fe80::1%eth0', 'fe800000000000000000000000000001'],
  ])('for IPv6 holds the octets of %s', (address, octets) => {
    const target = { address: '2001:db8::25', port: 587 };
    const header = formatProxyHeader({ address, port: 1 }, target);
    const addresses = `${octets}20010db8000000000000000000000025`;
    expect(header.toString('hex')).toBe(`${SIGNATURE}21210024${addresses}0001024b`);
  });

  it('is understood by our own listeners', () => {
    const header = formatProxyHeader({ address: '192.0.2.1', port: 40_000 }, { address: '198.51.100.25', port: 25 });
    expect(parseProxyHeader(header)).toEqual({
      addresses: { remoteAddress: '192.0.2.1', remotePort: 40_000, localAddress: '198.51.100.25', localPort: 25 },
      length: header.length,
    });
  });

  it.each([
    formatProxyHeader({ address: '::ffff:192.0.2.1', port: 1 }, { address: '2001:db8::25', port: 25 }),
    Buffer.from('PROXY TCP6 ::ffff:192.0.2.1 2001:db8::25 1 25\r\n'),
    Buffer.from('PROXY TCP6 ::ffff:c000:201 2001:db8:0::25 1 25\r\n'),
  ])('tells an IPv4 address within IPv6 as itself, so that limits and SPF are about it: %s', (header) => {
    const { remoteAddress, localAddress } = parseProxyHeader(header)?.addresses ?? {};
    expect([remoteAddress, localAddress]).toEqual(['192.0.2.1', '2001:db8::25']);
  });

  it.each([
    ['192.0.2.1', '2001:db8::25'],
    ['2001:db8::1', '192.0.2.25'],
    ['', '192.0.2.25'],
    ['relay.example', '192.0.2.25'],
  ])('is not made from %s to %s', (source, target) => {
    const write = () => formatProxyHeader({ address: source, port: 0 }, { address: target, port: 25 });
    expect(write).toThrow(/not addresses of one family/);
  });
});
