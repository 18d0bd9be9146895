import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WINDOW } from '@waypost/queue';
import { openRedis, type RedisHandle } from '@waypost/redis';
import {
  aRecord as a,
  DnsServer,
  freePort,
  missing,
  mxRecord as mx,
  SmtpPeer,
  startRedis,
  startWaypost,
  type TestRedis,
  type WaypostProcess,
} from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { identityPem } from '../../support/identity.js';
import { type HeaderProxy, type SocksProxy, startHeaderProxy, startSocks } from '../../support/proxies.js';
import { redisConfig } from '../../support/redis-servers.js';
import { arrival, type Relay } from '../../support/relay.js';
import { type recipients, states, submit } from '../../support/track.js';

const PASSWORD = 'p@ss:w%rd of the proxy';
/** Loopback addresses: the proxy's own that mail is to leave from, the target's, and two mail hosts. */
const SOURCE = '127.0.2.1';
const HOST = '127.0.2.2';
const [REFUSED_MX, GOOD_MX] = ['127.0.2.3', '127.0.2.4'];
const [GENERAL_FAILURE, CONNECTION_REFUSED] = [1, 5];

let dir: string;
let redis: TestRedis;
let opened: RedisHandle;
let waypost: WaypostProcess;
let relay: Relay;
let dns: DnsServer;
let peer: SmtpPeer;
let goodMx: SmtpPeer;
let socks: SocksProxy;
let plain: SocksProxy;
let refusing: SocksProxy;
let header: HeaderProxy;
let downSocks: number;
let downHeader: number;
const more: { stop(): Promise<void> }[] = [];

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'waypost-proxies-'));
  const tls = missing('openssl').length > 0 ? undefined : await identityPem(dir, 'peer', 'localhost');
  peer = await SmtpPeer.start(tls ? { tls } : {}, 0, HOST);
  goodMx = await SmtpPeer.start({}, peer.port, GOOD_MX);
  socks = await startSocks({ login: `me:${PASSWORD}`, together: true });
  plain = await startSocks({ reply: ({ address }) => (address === REFUSED_MX ? GENERAL_FAILURE : 0) });
  refusing = await startSocks({ reply: ({ port }) => (port === 1 ? CONNECTION_REFUSED : GENERAL_FAILURE) });
  header = await startHeaderProxy();
  [downSocks, downHeader] = [await freePort(), await freePort()];
  dns = await DnsServer.start({
    'refused.mail.test A': [a('refused.mail.test', REFUSED_MX)],
    'good.mail.test A': [a('good.mail.test', GOOD_MX)],
    'two.test MX': [mx('two.test', 10, 'refused.mail.test'), mx('two.test', 20, 'good.mail.test')],
  });
  const url = (port: number, scheme = 'socks5', login = '') => `${scheme}://${login}127.0.0.1:${port}`;
  const sources = {
    socks: { proxy: url(socks.port, 'socks5', `me:${encodeURIComponent(PASSWORD)}@`) },
    wrong: { proxy: url(socks.port, 'socks5', 'me:another%20secret@') },
    plain: { proxy: url(plain.port), address: '127.0.2.9' },
    refusing: { proxy: url(refusing.port) },
    header: { proxy: url(header.port, 'haproxy'), address: SOURCE },
    family: { proxy: url(header.port, 'haproxy'), address: '::1' },
    'down-socks': { proxy: url(downSocks) },
    'down-header': { proxy: url(downHeader, 'haproxy'), address: SOURCE },
  };
  const names = Object.keys(sources);
  const to = `smtp://${HOST}:${peer.port}`;
  redis = await startRedis();
  opened = await openRedis(redisConfig({ url: redis.url }));
  waypost = await startWaypost({
    redis: redis.url,
    listeners: [{ name: 'trusted' }],
    config: {
      egress: {
        sources: Object.entries(sources).map(([name, source]) => ({ name, ...source })),
        pools: names.map((name) => ({ name, sources: [{ source: name }] })),
      },
      routes: [
        { match: 'two.test', to: 'mx', pool: 'plain' },
        { match: 'port-one.refusing.test', to: `smtp://${HOST}:1`, pool: 'refusing' },
        { match: 'tls.test', to, tls: 'required', pool: 'socks' },
        ...names.map((name) => ({ match: `${name}.test`, to, tls: 'none', pool: name })),
      ],
      delivery: {
        ...{ dns_servers: [dns.address], mx_port: peer.port, retry: { initial: '500ms', factor: 1, jitter: 0 } },
        idle: '100ms',
      },
      telemetry: { log_level: 'debug' },
    },
  });
  relay = { redis, waypost, peer, stop: async () => undefined };
});
afterAll(async () => {
  await waypost?.stop();
  for (const one of [peer, goodMx, socks, plain, refusing, header, dns, ...more]) await one?.stop();
  await opened?.close();
  await redis?.stop();
  rmSync(dir, { recursive: true, force: true });
});

const send = (domain: string) => submit(relay, domain, { to: `b@${domain}` });
const windowOf = (place: string, source: string) => opened.client.get(`${WINDOW}site:smtp:${place}|${source}`);
const lastText = (list: Awaited<ReturnType<typeof recipients>>) => list[0]?.last_response?.text ?? '';

describe('a source behind a SOCKS5 server', () => {
  it('logs in and reaches the host through it, though the greeting comes with its answer', async () => {
    await states(relay, await send('socks.test'), 'delivered');
    expect((await arrival(peer, 'socks.test')).rcpts).toEqual(['RCPT TO:<b@socks.test>']);
    expect(socks.requests.at(-1)).toMatchObject({ address: HOST, port: peer.port });
    expect(socks.logins.at(-1)).toBe(`me:${PASSWORD}`);
  });

  it('comes to the proxy from its local address', async () => {
    await states(relay, await send('plain.test'), 'delivered');
    expect(plain.requests).toContainEqual({ address: HOST, port: peer.port, from: '127.0.2.9' });
  });

  it.skipIf(missing('openssl').length > 0)('has TLS with the host, not the proxy (needs openssl)', async () => {
    await states(relay, await send('tls.test'), 'delivered');
    expect((await arrival(peer, 'tls.test')).secure).toBe(true);
  });

  it('goes to the next MX host where the proxy does not get to the first', async () => {
    const [only] = await states(relay, await send('two.test'), 'delivered');
    expect(only?.attempts).toBe(1);
    const domain = plain.requests.filter(({ address }) => address !== HOST).map(({ address }) => address);
    expect(domain).toEqual([REFUSED_MX, GOOD_MX]);
    expect(goodMx.messages).toHaveLength(1);
  });

  it('waits where the proxy does not let it in, and the log holds no password', async () => {
    const list = await states(relay, await send('wrong.test'), 'deferred');
    expect(lastText(list)).toMatch(/the proxy socks5:\/\/127\.0\.0\.1:\d+ broke off: .*Authentication failed/);
    expect(socks.logins).toContain('me:another secret');
    for (const secret of [PASSWORD, encodeURIComponent(PASSWORD), 'another secret', 'another%20secret'])
      expect(waypost.output).not.toContain(secret);
  });

  it('waits where the proxy fails, which is no trouble of the site', async () => {
    const list = await states(relay, await send('refusing.test'), 'deferred');
    expect(lastText(list)).toMatch(/the proxy .* did not connect us to 127\.0\.2\.2 port \d+: general failure/);
    expect(await windowOf(`${HOST}:${peer.port}`, 'refusing')).toBeNull();
  });

  it('takes the word of a proxy whom the host refused for that of the host', async () => {
    const list = await states(relay, await send('port-one.refusing.test'), 'deferred');
    expect(lastText(list)).toMatch(/port 1: connection refused/);
    expect(Number(await windowOf(`${HOST}:1`, 'refusing'))).toBeGreaterThan(0);
  });

  it('waits while the proxy is down, and goes once it is there', async () => {
    const id = await send('down-socks.test');
    const list = await states(relay, id, 'deferred');
    expect(lastText(list)).toContain(`the proxy socks5://127.0.0.1:${downSocks} cannot be reached: ECONNREFUSED`);
    expect(await windowOf(`${HOST}:${peer.port}`, 'down-socks')).toBeNull();
    const proxy = await startSocks({ port: downSocks });
    more.push(proxy);
    await states(relay, id, 'delivered');
    expect(proxy.requests).toHaveLength(1);
  });
});

describe('a source behind a proxy that reads PROXY v2', () => {
  it('tells it where to connect to and where from', async () => {
    await states(relay, await send('header.test'), 'delivered');
    await arrival(peer, 'header.test');
    expect(header.headers).toContainEqual({
      ...{ remoteAddress: SOURCE, remotePort: 0 },
      ...{ localAddress: HOST, localPort: peer.port },
    });
  });

  it('waits where its address cannot reach the host', async () => {
    const before = header.headers.length;
    const list = await states(relay, await send('family.test'), 'deferred');
    expect(lastText(list)).toMatch(/the proxy haproxy:.* has no address of the family of 127\.0\.2\.2, only ::1/);
    expect(header.headers).toHaveLength(before);
  });

  it('waits while the proxy is down, and goes once it is there', async () => {
    const id = await send('down-header.test');
    const list = await states(relay, id, 'deferred');
    expect(lastText(list)).toContain(`the proxy haproxy://127.0.0.1:${downHeader} cannot be reached`);
    expect(await windowOf(`${HOST}:${peer.port}`, 'down-header')).toBeNull();
    const proxy = await startHeaderProxy(downHeader);
    more.push(proxy);
    await states(relay, id, 'delivered');
    expect(proxy.headers).toHaveLength(1);
  });

  it('does not hold against the site that the proxy got no connection', async () => {
    const { port } = peer;
    await peer.stop();
    const list = await states(relay, await send('header.test'), 'deferred');
    expect(lastText(list)).toMatch(/the proxy haproxy:.* gave no connection that greets us/);
    expect(await windowOf(`${HOST}:${port}`, 'header')).toBeNull();
  });
});
