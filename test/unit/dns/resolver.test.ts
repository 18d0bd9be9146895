import {
  createNodeLookup,
  createValidatedLookup,
  MailResolver,
  type ResolveError,
  type ResolverDeps,
  type ResolverSettings,
} from '@waypost/dns';
import {
  aRecord as a,
  aaaaRecord as aaaa,
  cnameRecord as cname,
  DnsServer,
  mxRecord as mx,
  soaRecord as soa,
  type Zone,
} from '@waypost/testkit';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

let server: DnsServer;
let clock = 1_000_000;

beforeEach(async () => {
  server = await DnsServer.start({});
  clock = 1_000_000;
});
afterEach(() => server.stop());

function resolver(zone: Zone, settings: ResolverSettings = {}, deps: Partial<ResolverDeps> = {}): MailResolver {
  server.zone = zone;
  const lookup = createNodeLookup({ servers: [server.address], tryTimeout: 2_000, tries: 1 });
  return new MailResolver({ lookup, now: () => clock, random: () => 0.5, ...deps }, settings);
}

const failure = (promise: Promise<unknown>): Promise<ResolveError> =>
  promise.then(
    (value) => {
      throw new Error(`resolved with ${JSON.stringify(value)}`);
    },
    (error: ResolveError) => error,
  );

const names = async (promise: Promise<{ name: string }[]>) => (await promise).map(({ name }) => name);

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = [];
  for await (const item of items) out.push(item);
  return out;
}

describe('MX hosts', () => {
  test('come in order of preference, in lower case', async () => {
    const dns = resolver({ 'x.test MX': [mx('x.test', 20, 'B.x.test'), mx('x.test', 10, 'a.x.test')] });
    expect(await dns.resolveMx('X.test')).toEqual([
      { name: 'a.x.test', preference: 10, implicit: false },
      { name: 'b.x.test', preference: 20, implicit: false },
    ]);
  });

  test('of equal preference are shuffled at each call, never across preferences', async () => {
    const ranks = [0.9, 0.5, 0.1, 0.1, 0.5, 0.9];
    const zone = { 'x.test MX': [mx('x.test', 5, 'a.test'), mx('x.test', 5, 'b.test'), mx('x.test', 9, 'c.test')] };
    const dns = resolver(zone, {}, { random: () => ranks.shift() as number });
    const calls = [await names(dns.resolveMx('x.test')), await names(dns.resolveMx('x.test'))];
    expect(new Set(calls.map((call) => call.join()))).toEqual(
      new Set(['a.test,b.test,c.test', 'b.test,a.test,c.test']),
    );
  });

  test('a domain without MX stands for itself', async () => {
    const dns = resolver({ 'x.test A': [a('x.test', '192.0.2.1')] });
    expect(await dns.resolveMx('x.test')).toEqual([{ name: 'x.test', preference: 0, implicit: true }]);
    expect(await all(dns.candidates('x.test'))).toEqual([
      { name: 'x.test', preference: 0, implicit: true, address: '192.0.2.1', family: 4, secureAddress: false },
    ]);
  });

  test('a null MX is a permanent 556 5.1.10', async () => {
    const error = await failure(resolver({ 'x.test MX': [mx('x.test', 0, '.')] }).resolveMx('x.test'));
    expect(error).toMatchObject({ kind: 'null-mx', permanent: true, reply: { code: 556, enhanced: '5.1.10' } });
  });

  test('a null MX among others is passed over', async () => {
    const dns = resolver({ 'x.test MX': [mx('x.test', 0, '.'), mx('x.test', 10, 'a.test')] });
    expect(await names(dns.resolveMx('x.test'))).toEqual(['a.test']);
  });

  test('a domain that does not exist is permanent 5.4.4', async () => {
    const error = await failure(resolver({}).resolveMx('nowhere.test'));
    expect(error).toMatchObject({ kind: 'not-found', permanent: true, reply: { code: 550, enhanced: '5.4.4' } });
    expect(error.reply.text).toContain('nowhere.test');
  });

  test.each(['SERVFAIL', 'REFUSED'] as const)('%s is temporary 4.4.3', async (outcome) => {
    const error = await failure(resolver({ 'x.test MX': outcome }).resolveMx('x.test'));
    expect(error).toMatchObject({ kind: 'temporary', permanent: false, reply: { code: 451, enhanced: '4.4.3' } });
  });

  test('a silent server is temporary after the timeout', async () => {
    const error = await failure(resolver({ 'x.test MX': 'SILENT' }, { timeout: 20 }).resolveMx('x.test'));
    expect(error).toMatchObject({ kind: 'temporary', reply: { enhanced: '4.4.3' } });
    expect(error.reply.text).toContain('ETIMEOUT');
  });

  test('hosts that are addresses or no names are passed over', async () => {
    const dns = resolver({ 'x.test MX': [mx('x.test', 1, '192.0.2.9'), mx('x.test', 2, 'good.test')] });
    expect(await names(dns.resolveMx('x.test'))).toEqual(['good.test']);
    const none = await failure(resolver({ 'y.test MX': [mx('y.test', 1, '192.0.2.9')] }).resolveMx('y.test'));
    expect(none).toMatchObject({ kind: 'not-found', permanent: true });
  });

  test('a CNAME is followed to the MX of its target', async () => {
    const dns = resolver({
      'alias.test CNAME': [cname('alias.test', 'real.test')],
      'real.test MX': [mx('real.test', 10, 'a.real.test')],
    });
    expect(await names(dns.resolveMx('alias.test'))).toEqual(['a.real.test']);
  });

  test('a CNAME to nowhere is permanent', async () => {
    const error = await failure(
      resolver({ 'alias.test CNAME': [cname('alias.test', 'gone.test')] }).resolveMx('alias.test'),
    );
    expect(error.kind).toBe('not-found');
  });

  test('international domains are asked for as A-labels', async () => {
    const dns = resolver({ 'xn--bcher-kva.test MX': [mx('xn--bcher-kva.test', 10, 'a.test')] });
    expect(await names(dns.resolveMx('BÜCHER.test'))).toEqual(['a.test']);
  });

  test.each(['192.0.2.1', '0x7f.1', '１２７.0.0.1', 'a..b', '', 'x y', '-x.test', 'a@b'])(
    '%j is no domain: permanent 5.1.2, unasked',
    async (domain) => {
      const error = await failure(resolver({}).resolveMx(domain));
      expect(error).toMatchObject({ kind: 'bad-name', reply: { code: 550, enhanced: '5.1.2' } });
      expect(server.questions).toEqual([]);
    },
  );

  test.each([
    ['[192.0.2.1]', '192.0.2.1', 4],
    ['[IPv6:2001:db8::1]', '2001:db8::1', 6],
  ])('%s needs no DNS', async (domain, address, family) => {
    expect(await all(resolver({}).candidates(domain))).toEqual([
      { name: domain, preference: 0, implicit: true, address, family, secureAddress: false },
    ]);
    expect(server.questions).toEqual([]);
  });
});

describe('ourselves among the MX hosts', () => {
  const zone = {
    'x.test MX': [
      mx('x.test', 5, 'best.test'),
      mx('x.test', 10, 'us.test'),
      mx('x.test', 10, 'peer.test'),
      mx('x.test', 20, 'worse.test'),
    ],
  };

  test('only hosts better than us are left', async () => {
    expect(await names(resolver(zone, {}, { isSelf: (host) => host === 'us.test' }).resolveMx('x.test'))).toEqual([
      'best.test',
    ]);
  });

  test('as the best one is a loop: permanent 5.4.6', async () => {
    const error = await failure(resolver(zone, {}, { isSelf: (host) => host === 'best.test' }).resolveMx('x.test'));
    expect(error).toMatchObject({ kind: 'loop', permanent: true, reply: { enhanced: '5.4.6' } });
  });
});

describe('addresses', () => {
  const both = {
    'h.test A': [a('h.test', '192.0.2.1'), a('h.test', '192.0.2.2')],
    'h.test AAAA': [aaaa('h.test', '2001:db8::1')],
  };

  test.each<[ResolverSettings, string[]]>([
    [{}, ['192.0.2.', '2001:db8', '192.0.2.']],
    [{ prefer: 6 }, ['2001:db8', '192.0.2.', '192.0.2.']],
    [{ family: 'ipv4' }, ['192.0.2.', '192.0.2.']],
    [{ family: 'ipv6' }, ['2001:db8']],
  ])('with %j', async (settings, expected) => {
    const found = await resolver(both, settings).resolveAddresses('h.test');
    expect(found.map(({ address }) => address.slice(0, 8))).toEqual(expected);
    if (settings.family === 'ipv4') expect(server.questions).toEqual(['h.test A']);
  });

  test('of one family do when the other fails', async () => {
    const dns = resolver({ 'h.test A': 'SERVFAIL', 'h.test AAAA': [aaaa('h.test', '2001:db8::1')] });
    expect(await dns.resolveAddresses('h.test')).toEqual([{ address: '2001:db8::1', family: 6 }]);
  });

  test('of one family missing and the other failing are temporary', async () => {
    const error = await failure(resolver({ 'h.test A': 'SERVFAIL', 'h.test AAAA': [] }).resolveAddresses('h.test'));
    expect(error.kind).toBe('temporary');
  });

  test('that do not exist are permanent', async () => {
    expect((await failure(resolver({ 'h.test MX': [] }).resolveAddresses('h.test'))).kind).toBe('not-found');
  });

  test('follow a CNAME', async () => {
    const dns = resolver({ 'h.test CNAME': [cname('h.test', 'g.test')], 'g.test A': [a('g.test', '192.0.2.7')] });
    expect(await dns.resolveAddresses('h.test')).toEqual([{ address: '192.0.2.7', family: 4 }]);
  });
});

describe('candidates', () => {
  test('pass over hosts without addresses, and look up a host only in its turn', async () => {
    const dns = resolver({
      'x.test MX': [
        mx('x.test', 1, 'gone.test'),
        mx('x.test', 2, 'slow.test'),
        mx('x.test', 3, 'good.test'),
        mx('x.test', 4, 'spare.test'),
      ],
      'slow.test *': 'SERVFAIL',
      'good.test A': [a('good.test', '192.0.2.3')],
    });
    for await (const candidate of dns.candidates('x.test')) {
      expect(candidate).toMatchObject({ name: 'good.test', address: '192.0.2.3' });
      break;
    }
    expect(server.questions.filter((question) => question.startsWith('spare'))).toEqual([]);
  });

  test('without any address are temporary when one host failed for now', async () => {
    const dns = resolver({
      'x.test MX': [mx('x.test', 1, 'slow.test'), mx('x.test', 2, 'gone.test')],
      'slow.test *': 'SERVFAIL',
    });
    expect((await failure(all(dns.candidates('x.test')))).kind).toBe('temporary');
  });

  test('without any address are permanent when no host exists', async () => {
    const dns = resolver({ 'x.test MX': [mx('x.test', 1, 'gone.test')] });
    expect(await failure(all(dns.candidates('x.test')))).toMatchObject({
      kind: 'not-found',
      reply: { code: 550, enhanced: '5.4.4' },
    });
  });

  test('are bounded', async () => {
    const many = Array.from({ length: 9 }, (_, i) => a('m.test', `192.0.2.${i}`));
    const dns = resolver(
      { 'x.test MX': [mx('x.test', 1, 'm.test'), mx('x.test', 2, 'n.test')], 'm.test A': many },
      { maxCandidates: 4 },
    );
    expect(await all(dns.candidates('x.test'))).toHaveLength(4);
  });
});

describe('a host that an operator names', () => {
  test('is found by the system', async () => {
    const found = await resolver({}, { family: 'ipv4' }).resolveHost('localhost');
    expect(found).toEqual([{ address: '127.0.0.1', family: 4 }]);
    expect(server.questions).toEqual([]);
  });

  test('is asked of the name servers given, first', async () => {
    const dns = resolver({ 'smart.test A': [a('smart.test', '192.0.2.5')] }, { dnsFirst: true });
    expect(await dns.resolveHost('smart.test')).toEqual([{ address: '192.0.2.5', family: 4 }]);
  });

  test('and does not exist is temporary: the operator can mend it', async () => {
    const lookup = {
      ...createNodeLookup(),
      system: () => Promise.reject(Object.assign(new Error('none'), { code: 'ENOTFOUND' })),
    };
    const error = await failure(resolver({}, {}, { lookup }).resolveHost('smart.invalid'));
    expect(error).toMatchObject({ kind: 'temporary', reply: { code: 451 } });
  });
});

describe('records as they are', () => {
  const zone: Zone = {
    'x.test TXT': [{ name: 'x.test', type: 'TXT', ttl: 60, data: ['v=spf1 ', '-all'] }],
    'x.test MX': [mx('x.test', 10, 'b.x.test')],
    'x.test A': [a('x.test', '192.0.2.1')],
    '1.2.0.192.in-addr.arpa PTR': [{ name: '1.2.0.192.in-addr.arpa', type: 'PTR', ttl: 60, data: 'x.test' }],
  };

  test('are had of each kind, strings of one text joined, and asked once', async () => {
    const dns = resolver(zone);
    for (const name of ['x.test', 'X.TEST.']) expect(await dns.records(name, 'TXT')).toEqual(['v=spf1 -all']);
    expect(await dns.records('x.test', 'MX')).toMatchObject([{ exchange: 'b.x.test', priority: 10 }]);
    expect(await dns.records('x.test', 'A')).toEqual(['192.0.2.1']);
    expect(await dns.records('1.2.0.192.in-addr.arpa', 'PTR')).toEqual(['x.test']);
    expect(server.questions).toHaveLength(4);
  });

  test('tell whether a name has none, does not exist, or cannot be asked for now', async () => {
    const dns = resolver({ ...zone, 'mute.test TXT': 'SERVFAIL' });
    expect(await failure(dns.records('x.test', 'AAAA'))).toMatchObject({ code: 'ENODATA' });
    expect(await failure(dns.records('y.test', 'TXT'))).toMatchObject({ code: 'ENOTFOUND' });
    expect(await failure(dns.records('mute.test', 'TXT'))).toMatchObject({ code: 'ESERVFAIL' });
  });

  test('outlive a failing name server for a while', async () => {
    const dns = resolver(zone, { maxTtl: 60_000, staleFor: 600_000 });
    await dns.records('x.test', 'A');
    server.zone = { 'x.test A': 'SERVFAIL' };
    clock += 100_000;
    expect(await dns.records('x.test', 'A')).toEqual(['192.0.2.1']);
    clock += 600_000;
    expect(await failure(dns.records('x.test', 'A'))).toMatchObject({ code: 'ESERVFAIL' });
  });
});

describe('how long answers hold that tell it themselves', () => {
  const validated = (zone: Zone, settings: ResolverSettings = {}) => {
    const lookup = createValidatedLookup({ servers: [server.address], tryTimeout: 2_000, tries: 1 });
    return resolver(zone, settings, { lookup });
  };
  const asked = (question: string) => server.questions.filter((one) => one === question).length;

  test.each([
    ['as its SOA says', 300, 100, 100],
    ['no longer than the SOA itself holds (RFC 2308 §5)', 50, 100, 50],
    ['no longer than the bound', 90_000, 90_000, 3600],
    ['no shorter than the bound', 0, 0, 5],
  ])('that there is no such domain: %s', async (_, ttl, minimum, seconds) => {
    const dns = validated({});
    server.soa = soa('test', ttl, minimum);
    const look = () => failure(dns.resolveMx('gone.test'));
    expect((await look()).kind).toBe('not-found');
    clock += seconds * 1000 - 1;
    await look();
    expect(asked('gone.test MX')).toBe(1);
    clock += 1;
    await look();
    expect(asked('gone.test MX')).toBe(2);
  });

  test('that there is no such record, and where no SOA comes with the answer', async () => {
    const dns = validated({ 'x.test A': [a('x.test', '192.0.2.1')] }, { negativeTtl: 7_000 });
    server.soa = soa('test', 20, 20);
    expect(await dns.resolveTxt('x.test')).toEqual([]);
    clock += 19_999;
    await dns.resolveTxt('x.test');
    expect(asked('x.test TXT')).toBe(1);
    clock += 1;
    server.soa = undefined;
    await dns.resolveTxt('x.test');
    clock += 6_999;
    await dns.resolveTxt('x.test');
    expect(asked('x.test TXT')).toBe(2);
    clock += 1;
    await dns.resolveTxt('x.test');
    expect(asked('x.test TXT')).toBe(3);
  });

  test('MX records hold as long as the first of them', async () => {
    const records = [mx('x.test', 10, 'a.test'), { ...mx('x.test', 20, 'b.test'), ttl: 30 }];
    const dns = validated({ 'x.test MX': records });
    await dns.resolveMx('x.test');
    clock += 29_999;
    await dns.resolveMx('x.test');
    expect(asked('x.test MX')).toBe(1);
    clock += 1;
    await dns.resolveMx('x.test');
    expect(asked('x.test MX')).toBe(2);
  });
});
