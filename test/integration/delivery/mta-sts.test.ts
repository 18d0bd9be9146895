import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import {
  aRecord,
  DnsServer,
  freePort,
  missing,
  mxRecord,
  SmtpPeer,
  startRedis,
  startWaypost,
  type TestRedis,
  txtRecord,
  type WaypostProcess,
} from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authority, type Identity } from '../../support/authority.js';
import { identityPem } from '../../support/identity.js';
import { arrival, type Relay } from '../../support/relay.js';
import { states, submit } from '../../support/track.js';

const WEB = '127.0.3.1';

/** Domains with a mail exchanger each; `policy` is what its web server sends. */
const DOMAINS: Record<string, { readonly at: string; readonly policy: string | number }> = {
  'good.test': { at: '127.0.2.1', policy: enforce('mx.good.test') },
  'wild.test': { at: '127.0.2.2', policy: enforce('*.wild.test') },
  'untrusted.test': { at: '127.0.2.3', policy: enforce('mx.untrusted.test') },
  'wrongname.test': { at: '127.0.2.4', policy: enforce('mx.wrongname.test') },
  'clear.test': { at: '127.0.2.5', policy: enforce('mx.clear.test') },
  'foreign.test': { at: '127.0.2.6', policy: enforce('mx.elsewhere.test') },
  'testing.test': { at: '127.0.2.3', policy: enforce('mx.nobody.test').replace('enforce', 'testing') },
  'broken.test': { at: '127.0.2.3', policy: 500 },
  'moved.test': { at: '127.0.2.3', policy: 302 },
  'nopolicy.test': { at: '127.0.2.3', policy: 'version: STSv1\nmode: none\nmax_age: 86400\n' },
};

function enforce(mx: string): string {
  return `version: STSv1\r\nmode: enforce\r\nmx: ${mx}\r\nmax_age: 86400\r\n`;
}

describe.skipIf(missing('openssl').length > 0)('MTA-STS (needs openssl)', () => {
  let dir: string;
  let dns: DnsServer;
  let redis: TestRedis;
  let web: Server;
  let waypost: WaypostProcess;
  let relay: Relay;
  const peers: Record<string, SmtpPeer> = {};
  /** Names the web server was asked for. */
  const asked: string[] = [];

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'waypost-sts-'));
    const ca = await Authority.create(dir);
    const webNames = Object.keys(DOMAINS).map((domain) => `mta-sts.${domain}`);
    web = await startWeb(await ca.issue(...webNames), asked);
    const port = await freePort();
    const extensions = ['PIPELINING', 'REQUIRETLS'];
    const identities: Record<string, Identity | undefined> = {
      '127.0.2.1': await ca.issue('mx.good.test'),
      '127.0.2.2': await ca.issue('a.wild.test'),
      '127.0.2.3': await identityPem(dir, 'self', 'mx.untrusted.test'),
      '127.0.2.4': await ca.issue('mx.other.test'),
      '127.0.2.5': undefined,
      '127.0.2.6': await ca.issue('mx.foreign.test'),
    };
    for (const [at, tls] of Object.entries(identities)) {
      const more = at === '127.0.2.2' ? [] : extensions;
      peers[at] = await SmtpPeer.start({ extensions: more, ...(tls ? { tls } : {}) }, port, at);
    }
    dns = await DnsServer.start(
      Object.fromEntries(
        Object.entries(DOMAINS).flatMap(([domain, { at }]) => {
          const mx = domain === 'wild.test' ? 'a.wild.test' : `mx.${domain}`;
          return [
            [`${domain} MX`, [mxRecord(domain, 10, mx)]],
            [`${mx} A`, [aRecord(mx, at)]],
            [`_mta-sts.${domain} TXT`, [txtRecord(`_mta-sts.${domain}`, 'v=STSv1; id=20260101;')]],
            [`mta-sts.${domain} A`, [aRecord(`mta-sts.${domain}`, WEB)]],
          ];
        }),
      ),
    );
    redis = await startRedis();
    waypost = await startWaypost({
      redis: redis.url,
      listeners: [{ name: 'trusted' }, { name: 'secure', tls: 'implicit' }],
      env: { NODE_EXTRA_CA_CERTS: ca.file },
      config: {
        routes: [{ match: '*', to: 'mx' }],
        delivery: {
          dns_servers: [dns.address],
          mx_port: port,
          mta_sts_port: (web.address() as AddressInfo).port,
          retry: { initial: '1h', jitter: 0 },
        },
      },
    });
    relay = { redis, waypost, peer: peers['127.0.2.1'] as SmtpPeer, stop: async () => undefined };
  });
  afterAll(async () => {
    await waypost?.stop();
    await Promise.all(Object.values(peers).map((peer) => peer.stop()));
    await dns?.stop();
    await redis?.stop();
    web?.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const peerOf = (domain: string) => peers[DOMAINS[domain]?.at ?? ''] as SmtpPeer;
  const got = (domain: string) => peerOf(domain).messages.some(({ rcpts }) => rcpts.join().includes(`@${domain}`));

  it.each([
    ['good.test', 'the host is in the policy and shows who it is'],
    ['wild.test', 'the host is under a wildcard of the policy'],
    ['testing.test', 'the policy is in testing, and nothing of it is kept to'],
    ['broken.test', 'the policy cannot be fetched, and none was before'],
    ['moved.test', 'the policy is elsewhere: redirects are not followed'],
    ['nopolicy.test', 'the policy says that there is none'],
  ])('%s gets its mail over TLS: %s', async (domain) => {
    const id = await submit(relay, domain, { to: `b@${domain}` });
    expect((await arrival(peerOf(domain), domain)).secure).toBe(true);
    await states(relay, id, 'delivered');
    expect(asked).toContain(`mta-sts.${domain}`);
  });

  it.each([
    ['untrusted.test', /certificate|self.signed/i],
    ['wrongname.test', /altnames|certificate/i],
    ['clear.test', /STARTTLS|TLS/i],
    ['foreign.test', /not among the hosts of the MTA-STS policy/],
  ])('%s does not get its mail', async (domain, why) => {
    const id = await submit(relay, domain, { to: `b@${domain}` });
    const [only] = await states(relay, id, 'deferred');
    expect(only?.last_response?.text).toMatch(why);
    expect(got(domain)).toBe(false);
  });

  it('an attacker who takes the record and the web server away after a restart gains nothing', async () => {
    dns.zone = Object.fromEntries(Object.entries(dns.zone).filter(([name]) => !name.startsWith('_mta-sts.')));
    const before = asked.length;
    await waypost.end();
    await waypost.restart();
    const id = await submit(relay, 'still', { to: 'c@untrusted.test' });
    await states(relay, id, 'deferred');
    expect(got('untrusted.test')).toBe(false);
    expect(asked).toHaveLength(before);
  });

  it('REQUIRETLS: goes to a host that is authenticated and passes the demand on', async () => {
    await submit(relay, 'demanding', { to: 'r@good.test', mail: 'REQUIRETLS', listener: 'secure', secure: true });
    const message = await arrival(peerOf('good.test'), 'demanding');
    expect(message.secure).toBe(true);
    expect(message.mail).toContain(' REQUIRETLS');
  });

  it('TLS-Required: No goes where the policy lets nothing else through, unless REQUIRETLS stands against it', async () => {
    const header = 'From: a@example.com\r\nTLS-Required: No';
    const id = await submit(relay, 'by all means', { to: 'n@wrongname.test', header });
    await states(relay, id, 'delivered');
    expect((await arrival(peerOf('wrongname.test'), 'by all means')).secure).toBe(true);
    const both = { to: 'n@wrongname.test', header, mail: 'REQUIRETLS', listener: 'secure', secure: true };
    await states(relay, await submit(relay, 'both', both), 'deferred');
    await states(relay, await submit(relay, 'as ever', { to: 'n@wrongname.test' }), 'deferred');
  });

  it.each([
    ['wild.test', /does not support it/],
    ['broken.test', /neither DNSSEC nor MTA-STS vouches/],
  ])('REQUIRETLS: %s must not have it', async (domain, why) => {
    const mail = { to: `r@${domain}`, mail: 'REQUIRETLS', listener: 'secure', secure: true };
    const id = await submit(relay, `demanding ${domain}`, mail);
    const [only] = await states(relay, id, 'bounced');
    expect(only?.last_response).toMatchObject({ code: 550, enhanced: '5.7.30', text: expect.stringMatching(why) });
  });
});

async function startWeb(identity: Identity, asked: string[]): Promise<Server> {
  const web = createServer({ SNICallback: (_name, done) => done(null, createSecureContext(identity)) });
  web.on('request', (request, response) => {
    const host = request.headers.host ?? '';
    asked.push(host);
    const policy = DOMAINS[host.replace(/^mta-sts\./, '')]?.policy;
    const { port } = web.address() as AddressInfo;
    if (policy === 302) {
      response.writeHead(302, { location: `https://mta-sts.untrusted.test:${port}${request.url}` }).end();
    } else if (typeof policy !== 'string' || request.url !== '/.well-known/mta-sts.txt') response.writeHead(500).end();
    else response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' }).end(policy);
  });
  await new Promise<void>((resolve) => web.listen(0, WEB, resolve));
  return web;
}
