import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createSecureContext } from 'node:tls';
import { gunzipSync } from 'node:zlib';
import { dayOf } from '@waypost/reports';
import {
  aRecord,
  DnsServer,
  freePort,
  missing,
  mxRecord,
  run,
  SmtpPeer,
  startWaypost,
  txtRecord,
  type WaypostProcess,
  waitFor,
} from '@waypost/testkit';
import { simpleParser } from 'mailparser';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authority, type Identity } from '../../support/authority.js';
import { identityPem } from '../../support/identity.js';
import type { Relay } from '../../support/relay.js';
import { type Opened, openedRedis } from '../../support/stores.js';
import { states, submit } from '../../support/track.js';

const MAIN = resolve(import.meta.dirname, '../../../services/waypost/dist/main.js');
const WEB = '127.0.6.100';
const today = dayOf(Date.now());

const sts = (domain: string, mode: string) =>
  `version: STSv1\r\nmode: ${mode}\r\nmx: mx.${domain}\r\nmax_age: 86400\r\n`;

/** `policy`: what the web server sends of MTA-STS, a status or a text; absent: it has no record of it. */
interface Domain {
  readonly at: string;
  readonly policy?: number | string;
  /** Where it wants reports. */
  readonly rua?: string;
}

const DOMAINS: Record<string, Domain> = {
  'good.test': {
    at: '127.0.6.1',
    policy: sts('good.test', 'enforce'),
    rua: 'mailto:good@reports.test,https://web.test',
  },
  'second.test': { at: '127.0.6.1', rua: 'mailto:second@reports.test' },
  'untrusted.test': { at: '127.0.6.2', policy: sts('untrusted.test', 'testing'), rua: 'mailto:u@reports.test' },
  'wrongname.test': { at: '127.0.6.3', policy: sts('wrongname.test', 'enforce'), rua: 'mailto:w@reports.test' },
  'expired.test': { at: '127.0.6.4', policy: sts('expired.test', 'enforce'), rua: 'mailto:e@reports.test' },
  'clear.test': { at: '127.0.6.5', rua: 'mailto:c@reports.test' },
  'foreign.test': { at: '127.0.6.1', policy: sts('elsewhere.test', 'enforce'), rua: 'mailto:f@reports.test' },
  'broken.test': { at: '127.0.6.2', policy: 500, rua: 'mailto:b@reports.test' },
  'nonsense.test': { at: '127.0.6.2', policy: 'version: STSv2\n', rua: 'mailto:n@reports.test' },
  'badweb.test': { at: '127.0.6.2', policy: sts('badweb.test', 'enforce'), rua: 'mailto:b@reports.test' },
  'old.test': { at: '127.0.6.6', policy: sts('old.test', 'enforce'), rua: 'mailto:h@reports.test' },
  'more.test': { at: '127.0.6.1', rua: 'mailto:m@reports.test' },
  'silent.test': { at: '127.0.6.2', policy: sts('silent.test', 'testing') },
  // Its own policy keeps out whatever mail is not a report.
  'reports.test': { at: '127.0.6.7', policy: sts('reports.test', 'enforce'), rua: 'mailto:r@reports.test' },
};

describe.skipIf(missing('openssl').length > 0)('TLS-RPT (needs openssl)', () => {
  let dir: string;
  let dns: DnsServer;
  let opened: Opened;
  let web: Server;
  let relay: Relay;
  let events: WaypostProcess;
  const peers: Record<string, SmtpPeer> = {};
  /** A message to each domain. */
  const ids = new Map<string, string>();
  const uploads: { type: string | undefined; content: Buffer }[] = [];
  /** Answers an upload; while it is set, uploads wait for it. */
  let held: (() => void)[] | undefined;

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'waypost-tlsrpt-'));
    const ca = await Authority.create(dir);
    const self = await identityPem(dir, 'self', 'mx.untrusted.test');
    const names = Object.keys(DOMAINS).filter((domain) => domain !== 'badweb.test');
    const identities = { good: await ca.issue(...names.map((name) => `mta-sts.${name}`), 'web.test'), bad: self };
    web = await startWeb(identities);
    const webPort = (web.address() as AddressInfo).port;
    const port = await freePort();
    const serve = async (at: string, tls?: Identity) => {
      peers[at] = await SmtpPeer.start(tls ? { tls } : {}, port, at);
    };
    await serve('127.0.6.1', await ca.issue('mx.good.test', 'mx.second.test', 'mx.foreign.test'));
    await serve('127.0.6.2', self);
    await serve('127.0.6.3', await ca.issue('mx.other.test'));
    await serve('127.0.6.4', await ca.issueExpired('mx.expired.test'));
    await serve('127.0.6.5');
    // TLS of a time that is over.
    await serve('127.0.6.6', { ...(await ca.issue('mx.old.test')), ...{ minVersion: 'TLSv1', maxVersion: 'TLSv1.1' } });
    await serve('127.0.6.7', self);
    dns = await DnsServer.start(zone(webPort));
    opened = await openedRedis();
    const redis = { ...opened.server, stop: async () => undefined };
    const config = {
      routes: [{ match: '*', to: 'mx' }],
      delivery: {
        dns_servers: [dns.address],
        mx_port: port,
        mta_sts_port: webPort,
        retry: { initial: '1h', jitter: 0 },
      },
      reports: {
        from: 'tls@relay.test',
        organization: 'Relay Ltd',
        contact: 'admin@relay.test',
        private_addresses: true,
      },
    };
    const common = { redis: redis.url, config, dir, env: { NODE_EXTRA_CA_CERTS: ca.file } };
    const services = ['ingress', 'policy', 'delivery', 'api'];
    const waypost = await startWaypost({ ...common, services, listeners: [{ name: 'trusted' }] });
    events = await startWaypost({ ...common, services: ['events'] });
    relay = { redis, waypost, peer: peers['127.0.6.1'] as SmtpPeer, stop: async () => undefined };
    const domains = Object.keys(DOMAINS).filter((domain) => domain !== 'more.test');
    for (const domain of domains) ids.set(domain, await submit(relay, domain, { to: `b@${domain}` }));
  });
  afterAll(async () => {
    await relay?.waypost.stop();
    await events?.stop();
    await Promise.all(Object.values(peers).map((peer) => peer.stop()));
    await dns?.stop();
    await opened?.stop();
    web?.closeAllConnections();
    web?.close();
    rmSync(dir, { recursive: true, force: true });
  });

  async function startWeb({ good, bad }: Record<'good' | 'bad', Identity>): Promise<Server> {
    const contexts = { good: createSecureContext(good), bad: createSecureContext(bad) };
    const server = createServer({
      SNICallback: (name, done) => done(null, name === 'mta-sts.badweb.test' ? contexts.bad : contexts.good),
    });
    server.on('request', (request, response) => {
      const host = (request.headers.host ?? '').replace(/:\d+$/, '');
      if (request.method === 'POST') {
        const chunks: Buffer[] = [];
        request.on('data', (chunk: Buffer) => chunks.push(chunk));
        request.on('end', () => {
          uploads.push({ type: request.headers['content-type'], content: Buffer.concat(chunks) });
          const answer = () => response.writeHead(201).end();
          if (held) held.push(answer);
          else answer();
        });
        return;
      }
      const policy = DOMAINS[host.replace(/^mta-sts\./, '')]?.policy;
      if (typeof policy !== 'string') response.writeHead(policy ?? 404).end();
      else response.writeHead(200, { 'content-type': 'text/plain' }).end(policy);
    });
    await new Promise<void>((done) => server.listen(0, WEB, done));
    return server;
  }

  function zone(webPort: number) {
    const entries = Object.entries(DOMAINS).flatMap(([domain, { at, policy, rua }]) => [
      [`${domain} MX`, [mxRecord(domain, 10, `mx.${domain}`)]] as const,
      [`mx.${domain} A`, [aRecord(`mx.${domain}`, at)]] as const,
      ...(policy === undefined
        ? []
        : [
            [`_mta-sts.${domain} TXT`, [txtRecord(`_mta-sts.${domain}`, 'v=STSv1; id=1;')]] as const,
            [`mta-sts.${domain} A`, [aRecord(`mta-sts.${domain}`, WEB)]] as const,
          ]),
      ...(rua === undefined
        ? []
        : [
            [
              `_smtp._tls.${domain} TXT`,
              [
                txtRecord(
                  `_smtp._tls.${domain}`,
                  `v=TLSRPTv1; rua=${rua.replace('https://web.test', `https://web.test:${webPort}/up`)}`,
                ),
              ],
            ] as const,
          ]),
    ]);
    return Object.fromEntries([...entries, ['web.test A', [aRecord('web.test', WEB)]] as const]);
  }

  const cli = async (...args: string[]) => {
    const { code, stdout, stderr } = await run(process.execPath, [MAIN, 'reports', ...args, '--config', events.file]);
    if (code !== 0) throw new Error(stderr);
    return stdout;
  };
  const printed = (domain: string, on = today) =>
    waitFor(`a report about ${domain}`, async () => {
      const text = await cli('print', domain, on);
      return text.startsWith('{') && JSON.parse(text);
    });

  it.each([
    ['good.test', 'delivered', 'sts', undefined],
    ['second.test', 'delivered', 'no-policy-found', undefined],
    ['untrusted.test', 'delivered', 'sts', 'certificate-not-trusted'],
    ['wrongname.test', 'deferred', 'sts', 'certificate-host-mismatch'],
    ['expired.test', 'deferred', 'sts', 'certificate-expired'],
    ['clear.test', 'delivered', 'no-policy-found', 'starttls-not-supported'],
    ['foreign.test', 'deferred', 'sts', 'validation-failure'],
    ['broken.test', 'delivered', 'sts', 'sts-policy-fetch-error'],
    ['nonsense.test', 'delivered', 'sts', 'sts-policy-invalid'],
    ['badweb.test', 'delivered', 'sts', 'sts-webpki-invalid'],
    ['old.test', 'deferred', 'sts', 'validation-failure'],
    ['reports.test', 'deferred', 'sts', 'certificate-not-trusted'],
  ])('%s: %s, under %s: %s', async (domain, state, policy, failure) => {
    await states(relay, ids.get(domain) ?? '', state);
    const report = await printed(domain);
    expect(report.policies).toHaveLength(1);
    const [only] = report.policies;
    expect(only.policy).toMatchObject({ 'policy-type': policy, 'policy-domain': domain });
    expect(only.summary).toEqual({
      'total-successful-session-count': failure ? 0 : 1,
      'total-failure-session-count': failure ? 1 : 0,
    });
    if (!failure) return expect(only['failure-details']).toBeUndefined();
    expect(only['failure-details']).toEqual([
      expect.objectContaining({
        'result-type': failure,
        'receiving-mx-hostname': `mx.${domain}`,
        'receiving-ip': DOMAINS[domain]?.at,
        'failed-session-count': 1,
        ...(domain === 'foreign.test' ? {} : { 'sending-mta-ip': expect.stringMatching(/^127\./) }),
      }),
    ]);
  });

  it('of who does not ask for reports nothing is counted', async () => {
    await states(relay, ids.get('silent.test') ?? '', 'delivered');
    await waitFor('the question', () => dns.questions.includes('_smtp._tls.silent.test TXT'));
    // What another one sees afterwards is written after it.
    await states(relay, await submit(relay, 'more', { to: 'c@more.test' }), 'delivered');
    await printed('more.test');
    expect(await cli('print', 'silent.test', today)).toMatch(/Nothing was counted/);
    expect(await cli('list')).not.toContain('silent.test');
    expect(await relay.waypost.metric('waypost_tls_sessions_total')).toBeGreaterThan(10);
  });

  it('the day over, each report arrives once, although the process dies while it is at two of them', async () => {
    await endDay(opened);
    const yesterday = dayOf(Date.now() - 86_400_000);
    const inbox = peers['127.0.6.7'] as SmtpPeer;
    const mailsTo = (local: string) => inbox.messages.filter(({ rcpts }) => rcpts.join().includes(`<${local}@`));
    expect(await cli('list')).toContain(`${yesterday}\tgood.test\tdue`);

    // Its mail is on its way and its upload waits for the answer; of the other one it is not known yet who wants it.
    held = [];
    await cli('send', 'good.test');
    await waitFor('the upload', () => uploads.length === 1);
    await waitFor('the mail', () => mailsTo('good').length === 1);
    dns.hold();
    const asked = dns.questions.length;
    await cli('send', 'second.test');
    await waitFor('the question', () => dns.questions.slice(asked).includes('_smtp._tls.second.test TXT'));
    await events.kill();
    dns.release();
    held = undefined;
    expect(mailsTo('second')).toHaveLength(0);
    await events.restart();

    const left = () => cli('list');
    await waitFor('both to be done with', async () => !/\t(?:good|second)\.test\t/.test(await left()), 90_000);
    await waitFor('the second mail', () => mailsTo('second').length === 1);
    expect(mailsTo('good')).toHaveLength(1);
    // Whether the first upload arrived nobody could tell: it came again, under the same name.
    const reports = uploads.map(({ content }) => JSON.parse(gunzipSync(content).toString()));
    expect(reports).toHaveLength(2);
    expect(reports[1]).toEqual(reports[0]);
    expect(reports[0]).toMatchObject({
      'organization-name': 'Relay Ltd',
      'contact-info': 'admin@relay.test',
      'report-id': `${yesterday}.good.test@relay.test`,
      'date-range': { 'start-datetime': `${yesterday}T00:00:00Z`, 'end-datetime': `${yesterday}T23:59:59Z` },
      policies: [
        {
          policy: {
            'policy-type': 'sts',
            'policy-string': ['version: STSv1', 'mode: enforce', 'mx: mx.good.test', 'max_age: 86400'],
            'policy-domain': 'good.test',
            'mx-host': ['mx.good.test'],
          },
          summary: { 'total-successful-session-count': 1, 'total-failure-session-count': 0 },
        },
      ],
    });
    expect(uploads[0]?.type).toBe('application/tlsrpt+gzip');
    expect(await cli('send', 'good.test')).toMatch(/No report .* waits/);
  }, 180_000);

  it('a report is a mail of its form, and reaches a domain whose own policy keeps all other mail out', async () => {
    const inbox = peers['127.0.6.7'] as SmtpPeer;
    await cli('send', 'expired.test');
    const message = await waitFor('the report', () => inbox.messages.find(({ rcpts }) => rcpts.join().includes('<e@')));
    expect(message.mail).toContain('<tls@relay.test>');
    const mail = await simpleParser(message.body);
    const yesterday = dayOf(Date.now() - 86_400_000);
    const id = `${yesterday}.expired.test@relay.test`;
    expect(mail.subject).toBe(`Report Domain: expired.test Submitter: relay.test Report-ID: <${id}>`);
    expect(mail.headers.get('tls-report-domain')).toBe('expired.test');
    expect(mail.headers.get('tls-report-submitter')).toBe('relay.test');
    expect(mail.headers.get('content-type')).toMatchObject({
      value: 'multipart/report',
      params: { 'report-type': 'tlsrpt' },
    });
    const [file] = mail.attachments;
    const start = Date.parse(`${yesterday}T00:00:00Z`) / 1000;
    expect(file).toMatchObject({
      contentType: 'application/tlsrpt+gzip',
      filename: `relay.test!expired.test!${start}!${start + 86_399}.json.gz`,
    });
    expect(JSON.parse(gunzipSync(file?.content as Buffer).toString())['report-id']).toBe(id);
    expect(inbox.messages.some(({ rcpts }) => rcpts.join().includes('<b@reports.test>'))).toBe(false);
  });
});

/** Moves what was counted today to yesterday, as the night would. */
async function endDay({ redis: { client } }: Opened): Promise<void> {
  const yesterday = dayOf(Date.now() - 86_400_000);
  for (const member of await client.zrange('wp:{reports-tls}:due', '0', '-1')) {
    const moved = yesterday + member.slice(10);
    await client.rename(`wp:{reports-tls}:data:${member}`, `wp:{reports-tls}:data:${moved}`);
    await client.zrem('wp:{reports-tls}:due', member);
    await client.zadd('wp:{reports-tls}:due', Date.now() + 3_600_000, moved);
  }
}
