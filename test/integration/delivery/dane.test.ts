import { createHash, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openRedis, type RedisHandle } from '@waypost/redis';
import { dayOf, readTls } from '@waypost/reports';
import {
  freePort,
  missing,
  SmtpPeer,
  startRedis,
  startWaypost,
  type TestRedis,
  type WaypostProcess,
  waitFor,
} from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authority, type Identity } from '../../support/authority.js';
import { identityPem } from '../../support/identity.js';
import { redisConfig } from '../../support/redis-servers.js';
import { arrival, type Relay } from '../../support/relay.js';
import { SignedDns } from '../../support/signed-zones.js';
import { recipients, states, submit } from '../../support/track.js';

const NEEDED = ['openssl', 'knotd', 'keymgr', 'knotc', 'unbound'];

/** TLSA data: 3 1 1 of a certificate's key, or 2 0 1 of the certificate. */
function tlsa(usage: 2 | 3, pem: string): string {
  const certificate = new X509Certificate(pem);
  const content = usage === 3 ? certificate.publicKey.export({ type: 'spki', format: 'der' }) : certificate.raw;
  return `${usage} ${usage === 3 ? 1 : 0} 1 ${createHash('sha256').update(content).digest('hex')}`;
}

describe.skipIf(missing(...NEEDED).length > 0)(`DANE (needs ${NEEDED.join(', ')})`, () => {
  let dir: string;
  let dns: SignedDns;
  let redis: TestRedis;
  let waypost: WaypostProcess;
  let relay: Relay;
  let handle: RedisHandle;
  let port: number;
  let old: Identity;
  let fresh: Identity;
  const peers: Record<string, SmtpPeer> = {};

  /** A mail domain inside example.test: its exchanger at an address, with TLSA records. */
  const host = (name: string, at: string, ...records: string[]) => [
    `${name} MX 10 mx.${name}`,
    `mx.${name} A ${at}`,
    ...records.map((data) => `_${port}._tcp.mx.${name} TLSA ${data}`),
  ];
  let zone: (rolled: 'before' | 'both' | 'after') => string[];

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'waypost-dane-'));
    port = await freePort();
    const ca = await Authority.create(dir);
    old = await identityPem(dir, 'old', 'anything.test');
    fresh = await identityPem(dir, 'fresh', 'anything.test');
    const extensions = ['PIPELINING', 'REQUIRETLS'];
    const serve = async (at: string, tls?: Identity) => {
      peers[at] = await SmtpPeer.start({ extensions, ...(tls ? { tls } : {}) }, port, at);
    };
    await serve('127.0.4.1', old);
    await serve('127.0.4.2', fresh);
    await serve('127.0.4.3');
    await serve('127.0.4.4', await ca.issue('mx.anchored.example.test'));
    await serve('127.0.4.5', await ca.issue('mx.elsewhere.test'));
    zone = (rolled) => [
      ...host('good', '127.0.4.1', tlsa(3, old.cert)),
      ...host('bad', '127.0.4.2', tlsa(3, old.cert)),
      ...host('without', '127.0.4.2'),
      ...host('clear', '127.0.4.3', tlsa(3, old.cert)),
      ...host('anchored', '127.0.4.4', tlsa(2, ca.cert)),
      ...host('misnamed', '127.0.4.5', tlsa(2, ca.cert)),
      ...host('unusable', '127.0.4.2', `1 1 1 ${'ab'.repeat(32)}`),
      ...host('unusable-asked', '127.0.4.2', `1 1 1 ${'ab'.repeat(32)}`),
      ...host('unusable-clear', '127.0.4.3', `1 1 1 ${'ab'.repeat(32)}`),
      ...host(
        'rolled',
        '127.0.4.2',
        ...(rolled === 'after' ? [] : [tlsa(3, old.cert)]),
        ...(rolled === 'before' ? [] : [tlsa(3, fresh.cert)]),
      ),
      '_smtp._tls.good TXT "v=TLSRPTv1; rua=mailto:tls@example.test"',
      '_smtp._tls.bad TXT "v=TLSRPTv1; rua=mailto:tls@example.test"',
      '_smtp._tls.unusable TXT "v=TLSRPTv1; rua=mailto:tls@example.test"',
      '_smtp._tls.forged TXT "v=TLSRPTv1; rua=mailto:tls@example.test"',
      'forged MX 10 mx.forged',
      'mx.forged A 127.0.4.2',
      `_${port}._tcp.mx.forged CNAME tlsa.bogus.test.`,
    ];
    dns = await SignedDns.start({
      secure: { 'example.test': zone('before') },
      bogus: { 'bogus.test': [`tlsa TLSA ${tlsa(3, fresh.cert)}`] },
      insecure: { 'plain.test': ['@ MX 10 mx', 'mx A 127.0.4.2', `_${port}._tcp.mx TLSA ${tlsa(3, old.cert)}`] },
    });
    redis = await startRedis();
    handle = await openRedis(redisConfig({ url: redis.url }));
    waypost = await startWaypost({
      redis: redis.url,
      listeners: [{ name: 'trusted' }, { name: 'secure', tls: 'implicit' }],
      config: {
        routes: [{ match: '*', to: 'mx' }],
        shaping: [{ match: 'unusable-asked.example.test', tls: 'verify' }],
        reports: { from: 'tls@relay.test' },
        delivery: {
          dns_servers: [dns.address],
          dnssec: true,
          mx_port: port,
          retry: { initial: '1s', factor: 1, jitter: 0 },
        },
      },
    });
    relay = { redis, waypost, peer: peers['127.0.4.1'] as SmtpPeer, stop: async () => undefined };
  });
  afterAll(async () => {
    await waypost?.stop();
    await Promise.all(Object.values(peers).map((peer) => peer.stop()));
    await dns?.stop();
    await handle?.close();
    await redis?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  const got = (domain: string) =>
    Object.values(peers).some(({ messages }) => messages.some(({ rcpts }) => rcpts.join().includes(`@${domain}`)));

  it.each([
    ['good.example.test', '127.0.4.1', 'the key fits; names and issuers do not count'],
    ['anchored.example.test', '127.0.4.4', 'the chain leads to the trust anchor, and the name fits'],
    ['without.example.test', '127.0.4.2', 'there is no TLSA record: TLS as it comes'],
    ['unusable.example.test', '127.0.4.2', 'its records cannot be used: TLS with anybody'],
    ['plain.test', '127.0.4.2', 'nobody vouches for its TLSA record, which thus counts nothing'],
  ])('%s gets its mail over TLS: %s %s', async (domain, at) => {
    await submit(relay, domain, { to: `b@${domain}` });
    expect((await arrival(peers[at] as SmtpPeer, domain)).secure).toBe(true);
  });

  it.each([
    ['bad.example.test', /fits none of its TLSA records/],
    ['misnamed.example.test', /not for mx\.misnamed\.example\.test/],
    ['clear.example.test', /TLS/],
    ['unusable-clear.example.test', /TLS/],
    ['forged.example.test', /cannot be had or are not validly signed/],
  ])('%s does not get its mail', async (domain, why) => {
    const id = await submit(relay, domain, { to: `b@${domain}` });
    const [only] = await states(relay, id, 'deferred');
    expect(only?.last_response?.text).toMatch(why);
    expect(got(domain)).toBe(false);
    await fetch(`${relay.waypost.http}/v1/emails/${id}`, { method: 'DELETE' });
  });

  it('REQUIRETLS goes where DNSSEC vouches for the host, and passes the demand on', async () => {
    await submit(relay, 'demanding', {
      to: 'r@good.example.test',
      mail: 'REQUIRETLS',
      listener: 'secure',
      secure: true,
    });
    expect((await arrival(peers['127.0.4.1'] as SmtpPeer, 'demanding')).mail).toContain(' REQUIRETLS');
    const id = await submit(relay, 'refused', {
      to: 'r@plain.test',
      mail: 'REQUIRETLS',
      listener: 'secure',
      secure: true,
    });
    const [only] = await states(relay, id, 'bounced');
    expect(only?.last_response).toMatchObject({ code: 550, enhanced: '5.7.30' });
  });

  it('records that cannot be used do not stand in for a certificate where REQUIRETLS or the operator asks for one', async () => {
    const to = 'r@unusable.example.test';
    const demanding = await submit(relay, 'unknown host', { to, mail: 'REQUIRETLS', listener: 'secure', secure: true });
    expect((await states(relay, demanding, 'deferred'))[0]?.last_response?.text).toMatch(/TLS/);
    const asked = await submit(relay, 'operator asks', { to: 'r@unusable-asked.example.test' });
    expect((await states(relay, asked, 'deferred'))[0]?.last_response?.text).toMatch(/TLS/);
    expect(got('unusable-asked.example.test')).toBe(false);
    const subjects = Object.values(peers).flatMap(({ messages }) => messages.map(({ body }) => body.toString()));
    expect(subjects.join()).not.toContain('unknown host');
    await fetch(`${relay.waypost.http}/v1/emails/${demanding}`, { method: 'DELETE' });
    await fetch(`${relay.waypost.http}/v1/emails/${asked}`, { method: 'DELETE' });
  });

  it.each([
    ['good', 'mx.good.example.test', undefined],
    ['bad', 'mx.bad.example.test', 'tlsa-invalid'],
    ['unusable', 'mx.unusable.example.test', 'tlsa-invalid'],
    ['forged', 'mx.forged.example.test', 'dnssec-invalid'],
  ])('TLS-RPT: %s.example.test, whose policy is that of %s: %s', async (name, mx, failure) => {
    const subject = { kind: 'tls', day: dayOf(Date.now()), domain: `${name}.example.test` } as const;
    const [only] = await waitFor('the sessions to be counted', async () => {
      const found = await readTls(handle.group, subject);
      return found.length > 0 && found;
    });
    expect(only?.policy).toMatchObject({ type: 'tlsa', domain: mx });
    if (failure === 'dnssec-invalid') expect(only?.policy.strings).toBeUndefined();
    else expect(only?.policy.strings?.[0]).toMatch(/^[13] 1 1 [0-9a-f]{64}$/);
    expect((only?.successes ?? 0) > 0).toBe(failure === undefined);
    expect(only?.failures.map(({ type }) => type)).toEqual(failure ? [failure] : []);
  });

  it('mail waits while the new key has no record, and goes once it has one', async () => {
    const id = await submit(relay, 'rolled', { to: 'b@rolled.example.test' });
    await states(relay, id, 'deferred');
    expect(got('rolled.example.test')).toBe(false);
    await dns.update('example.test', zone('both'));
    // What is in its cache serves for as long as its TTL says; a process that starts has none.
    await waypost.end();
    await waypost.restart();
    await waitFor('the mail to arrive', () => got('rolled.example.test'));
    await states(relay, id, 'delivered');
    expect((await recipients(relay, id))[0]?.attempts).toBeGreaterThan(1);
    await dns.update('example.test', zone('after'));
    await submit(relay, 'rolled over', { to: 'c@rolled.example.test' });
    expect((await arrival(peers['127.0.4.2'] as SmtpPeer, 'rolled over')).secure).toBe(true);
  });
});
