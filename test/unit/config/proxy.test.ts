import { ConfigError, loadConfig, parseProxy } from '@waypost/config';
import { describe, expect, it } from 'vitest';

const SECRET = 'hunter2%zz';

describe('the proxy of a source', () => {
  it.each([
    ['socks5://proxy.example:1080', { kind: 'socks5', host: 'proxy.example', port: 1080 }],
    ['SOCKS5://Proxy.Example:1080/', { kind: 'socks5', host: 'proxy.example', port: 1080 }],
    ['socks5://[2001:db8::1]:1080', { kind: 'socks5', host: '2001:db8::1', port: 1080 }],
    ['haproxy://10.0.0.1:2525', { kind: 'haproxy', host: '10.0.0.1', port: 2525 }],
  ])('%s', (text, expected) => {
    expect(parseProxy(text)).toMatchObject(expected);
    expect(parseProxy(text).login).toBeUndefined();
  });

  it('has a login whose odd characters are percent-encoded, and a name without it', () => {
    const { login, name } = parseProxy('socks5://me:a%40b%3Ac@p@proxy.example:1080');
    expect(login).toEqual({ user: 'me', password: 'a@b:c@p' });
    expect(name).toBe('socks5://proxy.example:1080');
  });

  it.each([
    [`socks4://me:${SECRET}@proxy.example:1080`, /is no proxy; write socks5:/],
    [`http://me:${SECRET}@proxy.example:1080`, /is no proxy/],
    ['proxy.example:1080', /"proxy\.example:1080" is no proxy/],
    ['socks5://proxy.example', /"socks5:\/\/proxy\.example" has no port; write/],
    ['socks5://proxy.example:0', /no port between 1 and 65535/],
    ['socks5://proxy.example:65536', /no port between 1 and 65535/],
    ['socks5://proxy.example:1080/path', /is no proxy/],
    [`haproxy://me:${SECRET}@proxy.example:1080`, /takes none; leave it out/],
    ['socks5://me@proxy.example:1080', /is not user:password/],
    ['socks5://me:@proxy.example:1080', /is not user:password/],
    [`socks5://me:${'x'.repeat(256)}@proxy.example:1080`, /1 to 255 octets/],
    [`socks5://me:${SECRET}@proxy.example:1080`, /holds a % that begins no octet/],
  ])('%s is refused', (text, expected) => {
    expect(() => parseProxy(text)).toThrow(expected);
    try {
      parseProxy(text);
    } catch (error) {
      expect((error as Error).message).not.toContain(SECRET);
    }
  });

  it.each([
    [{ proxy: 'socks5://proxy.example' }, /^egress\.sources "out": "proxy": "socks5:\/\/proxy\.example" has no port/],
    [{ proxy: 'haproxy://proxy.example:25' }, /^egress\.sources "out": "proxy": .*set "address"/],
    [{ proxy: 'haproxy://proxy.example:25', address: 'out.example' }, /set "address" to one of the proxy's own/],
  ])('in the configuration, %o is refused', (source, expected) => {
    const load = () => loadConfig({ text: JSON.stringify({ egress: { sources: [{ name: 'out', ...source }] } }) });
    expect(load).toThrow(ConfigError);
    try {
      load();
    } catch (error) {
      expect((error as ConfigError).problems).toEqual([expect.stringMatching(expected)]);
    }
  });

  it.each([
    [{ proxy: 'socks5://proxy.example:1080' }],
    [{ proxy: 'haproxy://proxy.example:25', address: '192.0.2.1' }],
  ])('in the configuration, %o is taken', (source) => {
    const { egress } = loadConfig({ text: JSON.stringify({ egress: { sources: [{ name: 'out', ...source }] } }) });
    expect(egress.sources[0]).toMatchObject(source);
  });
});
