import { ConfigError, loadConfig } from '@waypost/config';
import { describe, expect, test } from 'vitest';

function problems(config: Record<string, unknown>): readonly string[] {
  try {
    loadConfig({ text: JSON.stringify(config) });
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

const listener = (settings: Record<string, unknown>) => ({
  tls: { self_signed_dir: '/tmp/tls' },
  listeners: [{ name: 'one', port: 2525, tls: 'none', ...settings }],
});
const SECRET = '0123456789abcdef';
const LONG = SECRET + SECRET;
const relay = { kind: 'relay', allow: ['10.0.0.0/8'] };

describe('what a schema cannot say', () => {
  test.each([
    ['a relay for known networks', listener(relay)],
    ['a submission with TLS', listener({ kind: 'submission', tls: 'starttls' })],
    ['a submission without TLS where asked for', listener({ kind: 'submission', auth_without_tls: true })],
    ['an mx with domains', listener({ kind: 'mx', domains: ['example.com', '*.example.com'] })],
    [
      'IPv6 networks',
      listener({
        kind: 'relay',
        allow: ['fc00::/7', 'fd00::/8', '::1', '::ffff:10.0.0.0/104'],
        proxy_protocol: ['::1/128'],
      }),
    ],
    ['sentinels', { redis: { sentinel: { hosts: ['a:26379'], name: 'main' } } }],
    ['a page to ask about reports', { reports: { from: 'r@example.com', contact: 'https://example.com/mail' } }],
    ['bounces with a secret', { bounces: { domain: 'b.example.com', secret: LONG, verp: 'recipient' } }],
    ['an mx for bounces alone', { ...listener({ kind: 'mx' }), bounces: { domain: 'b.example.com', secret: LONG } }],
    ['s3 with its section', { spool: { blobs: 's3', s3: { bucket: 'mail' } } }],
  ])('takes %s', (_, config) => expect(problems(config)).toEqual([]));

  test.each([
    ['bounces without a secret', { bounces: { domain: 'b.example.com' } }, /^bounces: tokens need a secret/],
    ['a short secret', { bounces: { domain: 'b.example.com', secret: SECRET } }, /^bounces\.secret: needs 32/],
    ['VERP without a domain', { bounces: { secret: LONG, verp: 'message' } }, /^bounces: VERP needs bounces\.domain/],
    [
      'VERP of a rule without a domain',
      { bounces: { secret: LONG, rules: [{ verp: 'message' }] } },
      /^bounces: VERP needs bounces\.domain/,
    ],
    ['a return path that is no domain', { bounces: { domain: 'b@c', secret: LONG } }, /^bounces: "b@c" is no domain/],
    ['complaints to no address', { bounces: { feedback: ['fbl'], secret: LONG } }, /^bounces: "fbl" is no address/],
    [
      'a postmaster whose mail comes round again',
      { bounces: { domain: 'b.example.com', secret: LONG, postmaster: 'x@B.example.com' } },
      /^bounces\.postmaster: reports come to that address/,
    ],
    ['a relay for nobody', listener({ kind: 'relay' }), /^listeners "one": a relay listener needs "allow"/],
    ['an open relay', listener({ ...relay, allow: ['0.0.0.0/0'] }), /makes an open relay/],
    ['an open relay over IPv6', listener({ ...relay, allow: ['::/0'] }), /makes an open relay/],
    ['an open relay in disguise', listener({ ...relay, allow: ['10.0.0.0/00'] }), /makes an open relay/],
    ['half the internet', listener({ ...relay, allow: ['0.0.0.0/1'] }), /"allow" holds 0\.0\.0\.0\/1.*open relay/],
    ['IPv4 as IPv6', listener({ ...relay, allow: ['::ffff:0.0.0.0/96'] }), /makes an open relay/],
    ['a wide proxy', listener({ ...relay, proxy_protocol: ['128.0.0.0/2'] }), /"proxy_protocol" holds/],
    ['a wide XCLIENT', listener({ ...relay, xclient: ['2000::/3'] }), /"xclient" holds/],
    ['trust in everybody', { http: { trust_proxy: ['0.0.0.0/0'] } }, /^http\.trust_proxy holds/],
    ['an empty secret', { keys: [{ id: 'k', secret: '' }] }, /^keys\.0\.secret: needs 16 characters/],
    ['an mx for nothing', listener({ kind: 'mx' }), /needs "domains"/],
    ['an mx for everything', listener({ kind: 'mx', domains: ['*'] }), /makes an open relay/],
    ['AUTH in the clear', listener({ kind: 'submission' }), /^listeners "one": AUTH needs TLS/],
    ['TLS without an identity', { listeners: [{ name: 'a', port: 1, ...relay }] }, /^listeners "a": TLS needs/],
    [
      'two listeners of one name',
      { listeners: [1, 2].map((port) => ({ name: 'a', port, tls: 'none', ...relay })) },
      /^listeners "a": the name is taken/,
    ],
    ['a network that is none', listener({ ...relay, allow: ['10.0.0/8'] }), /^listeners "one": "allow": "10\.0\.0\/8"/],
    [
      'a prefix too long',
      listener({ ...relay, xclient: ['10.0.0.0/33'] }),
      /^listeners "one": "xclient": .*no network/,
    ],
    [
      'a host name',
      listener({ ...relay, proxy_protocol: ['lb.test'] }),
      /^listeners "one": "proxy_protocol": "lb\.test"/,
    ],
    ["a key's network", { keys: [{ id: 'k', secret: SECRET, networks: ['10/8'] }] }, /^keys "k": "networks": "10\/8"/],
    ['a trusted proxy', { http: { trust_proxy: ['proxy'] } }, /^http\.trust_proxy: "proxy" is no network/],
    [
      'two keys of one id',
      { keys: ['a', 'b'].map((more) => ({ id: 'k', secret: `${SECRET}${more}` })) },
      /^keys "k": the id is taken; give each key its own$/,
    ],
    [
      'a next hop that is none',
      { routes: [{ match: '*', to: 'ftp://host' }] },
      /^routes\.0\.to: "ftp:\/\/host" is no next hop/,
    ],
    ['s3 without its section', { spool: { blobs: 's3' } }, /^spool\.blobs is s3, but there is no spool\.s3 section$/],
    ['reports from nowhere', { reports: { from: 'Reports' } }, /^reports\.from: "Reports" is no address/],
    [
      'a Redis Cluster',
      { redis: { cluster: ['a:7000', 'b:7000'] } },
      /^redis\.cluster: Redis Cluster is not supported yet/,
    ],
  ])('refuses %s', (_, config, expected) => {
    const found = problems(config);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(expected);
  });
});
