import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { type Config, loadConfig } from '@waypost/config';
import { createNodeLookup, MailResolver } from '@waypost/dns';
import { DailyReports, type Report, type ReportKind } from '@waypost/events';
import type { MessageMeta } from '@waypost/mail';
import { PolicyQueue } from '@waypost/queue';
import type { RedisHandle } from '@waypost/redis';
import { dayOf, dueAt, noteDue, noteReached, ReportLedger, type ReportSubject } from '@waypost/reports';
import { createMetrics, noTracer, silentLogger } from '@waypost/runtime';
import { createBlobStore, Spool } from '@waypost/spool';
import { Committer, MessageStore } from '@waypost/store';
import { missing, waitFor } from '@waypost/testkit';
import { simpleParser } from 'mailparser';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Authority } from '../../support/authority.js';
import { type Opened, openedRedis } from '../../support/stores.js';

const LEASE = 400;
const yesterday = dayOf(Date.now() - 86_400_000);
const subject = (domain: string, day = yesterday): ReportSubject => ({ kind: 'tls', day, domain });

describe.skipIf(missing('openssl').length > 0)('daily reports (needs openssl)', () => {
  let dir: string;
  let opened: Opened;
  let web: Server;
  let webUri: string;
  let answers: number[];
  const uploads: { type: string | undefined; body: string }[] = [];
  const running: DailyReports[] = [];
  /** What `make` was asked for. */
  const made: string[] = [];

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'waypost-reports-'));
    const ca = await Authority.create(dir);
    setDefaultCACertificates([...getCACertificates('default'), ca.cert]);
    web = createServer(await ca.issue('localhost'), (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        uploads.push({ type: request.headers['content-type'], body: Buffer.concat(chunks).toString() });
        response.writeHead(answers.shift() ?? 201, { location: webUri }).end('thank you');
      });
    });
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
    webUri = `https://localhost:${(web.address() as AddressInfo).port}/v1/reports?x=1`;
    opened = await openedRedis();
  });
  afterAll(async () => {
    web?.close();
    await opened?.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  beforeEach(async () => {
    answers = [];
    uploads.length = 0;
    made.length = 0;
    await opened.redis.client.flushall();
  });
  afterEach(async () => {
    for (const one of running.splice(0)) await one.stop();
  });

  const reportOf = (of: ReportSubject, to: readonly string[]): Report => ({
    id: `${of.day}_${of.domain}`,
    to,
    subject: `Report Domain: ${of.domain} Submitter: relay.test Report-ID: <${of.day}_${of.domain}>`,
    headers: [['TLS-Report-Domain', of.domain]],
    reportType: 'tlsrpt',
    text: 'This is a report by Café relay.',
    file: { name: `${of.domain}.json.gz`, type: 'application/tlsrpt+gzip', content: Buffer.from(of.domain) },
    tlsOptional: true,
  });
  const kindFor = (to: readonly string[]): ReportKind => ({
    name: 'tls',
    make: async (of) => {
      made.push(of.domain);
      return reportOf(of, to);
    },
    forget: (of) => [{ name: 'set', args: [`forgotten ${of.domain}`, '1'] }],
  });

  /** One process that sends reports, over a connection of its own. */
  async function sender(kind: ReportKind, settings: Record<string, unknown> = {}, redis?: RedisHandle) {
    const text = JSON.stringify({
      server: { hostname: 'relay.test' },
      reports: { from: 'reports@relay.test', private_addresses: true, ...settings },
    });
    const config: Config = loadConfig({ text });
    const handle = redis ?? (await opened.another());
    const { group } = handle;
    const blobs = await createBlobStore({ ...config.spool, blobs: 'redis' }, group);
    const resolver = new MailResolver({ lookup: createNodeLookup() });
    const one = new DailyReports({
      runtime: { log: silentLogger, metrics: createMetrics(), tracer: noTracer },
      config: () => config,
      executor: group,
      redis: handle,
      spool: new Spool(group, blobs, { inlineMax: 65_536, cache: 0 }),
      committer: new Committer(group, new PolicyQueue(1)),
      // Its name is in no DNS.
      resolver: { resolveAddresses: (host) => resolver.resolveHost(host) },
      ledger: new ReportLedger(group, LEASE),
      kinds: [kind],
    });
    running.push(one);
    await one.start();
    return one;
  }
  const ledger = () => new ReportLedger(opened.redis.group, LEASE);
  const note = (of: ReportSubject, due = dueAt(of, 0)) => opened.redis.group.exec([noteDue(of, due)]);
  const mails = async (): Promise<MessageMeta[]> => {
    const keys = await opened.redis.client.keys('wp:{*}:m');
    const records = await new MessageStore(opened.redis.group, 0).readMany(keys.map((key) => key.slice(4, -3)));
    return records.flatMap((record) => (record ? [record.meta] : []));
  };
  const done = (domain: string) =>
    waitFor(`the report of ${domain} to be done with`, () => opened.redis.client.get(`forgotten ${domain}`));

  it('of two processes one sends a report, once, and it is not made again', async () => {
    const kind = kindFor(['mailto:tls@example.com?subject=x', 'ftp://example.com/', 'mailto:not%20an%20address']);
    const domains = Array.from({ length: 20 }, (_, i) => `d${i}.example`);
    for (const domain of domains) await note(subject(domain));
    await Promise.all([sender(kind), sender(kind)]);
    for (const domain of domains) await done(domain);
    expect(made.toSorted()).toEqual(domains.toSorted());
    const sent = await mails();
    expect(sent).toHaveLength(20);
    expect(sent[0]).toMatchObject({
      envelope: {
        sender: 'reports@relay.test',
        recipients: [{ address: 'tls@example.com', notify: ['NEVER'] }],
        tlsOptional: true,
      },
      origin: { kind: 'internal' },
    });
    expect(await ledger().count('tls')).toBe(0);
    expect(await note(subject('d1.example'))).toEqual([0]);
  });

  it('is a mail that says what it is', async () => {
    await note(subject('example.org'));
    await sender(kindFor(['mailto:tls@example.org']));
    await done('example.org');
    const [meta] = await mails();
    const body = await opened.redis.client.getBuffer(`wp:{${meta?.id}}:b`);
    const mail = await simpleParser(body as Buffer);
    expect(mail.text).toBe('This is a report by Café relay.');
    expect(mail.from?.text).toBe('reports@relay.test');
    expect(mail.subject).toBe(`Report Domain: example.org Submitter: relay.test Report-ID: <${yesterday}_example.org>`);
    expect(mail.headers.get('tls-required')).toBe('No');
    expect(mail.headers.get('content-type')).toMatchObject({
      value: 'multipart/report',
      params: { 'report-type': 'tlsrpt' },
    });
    expect(mail.attachments[0]).toMatchObject({
      contentType: 'application/tlsrpt+gzip',
      filename: 'example.org.json.gz',
    });
    expect(mail.attachments[0]?.content.toString()).toBe('example.org');
    expect(
      body
        ?.toString()
        .split('\r\n')
        .every((line) => line.length <= 78),
    ).toBe(true);
  });

  it('waits for its time, unless an operator wants it now', async () => {
    await note(subject('later.example'), Date.now() + 3_600_000);
    await note(subject('today.example', dayOf(Date.now())), Date.now() + 3_600_000);
    await note(subject('due.example'));
    await sender(kindFor(['mailto:a@example.com']));
    await done('due.example');
    expect(await mails()).toHaveLength(1);
    expect(await ledger().hurry(subject('today.example', dayOf(Date.now())))).toBe('not_over');
    expect(await ledger().hurry(subject('nobody.example'))).toBe('unknown');
    expect(await ledger().hurry(subject('later.example'))).toBe('due');
    await done('later.example');
    expect((await ledger().pending('tls')).map((one) => one.subject.domain)).toEqual(['today.example']);
  });

  it('goes again only to where it did not arrive', async () => {
    answers = [503, 302];
    await note(subject('example.com'));
    await sender(kindFor(['mailto:a@example.com', webUri]));
    const failed = (tries: number) =>
      waitFor(`try ${tries}`, async () => {
        const [one] = await ledger().pending('tls');
        return one?.tries === tries && !one.sending && one;
      });
    expect(await failed(1)).toMatchObject({ reached: ['mailto:a@example.com'], error: expect.stringMatching(/503/) });
    await ledger().hurry(subject('example.com'));
    expect((await failed(2)).error).toMatch(/302/);
    await ledger().hurry(subject('example.com'));
    await done('example.com');
    expect(uploads).toEqual(Array(3).fill({ type: 'application/tlsrpt+gzip', body: 'example.com' }));
    expect(await mails()).toHaveLength(1);
  });

  it('is taken up by another process when its own has died, and nothing goes twice', async () => {
    await note(subject('example.net'));
    const claim = await ledger().claim('tls');
    if (typeof claim !== 'object') throw new Error('nothing to claim');
    await opened.redis.group.exec([noteReached(claim.subject, 'mailto:first@example.net')]);
    await sender(kindFor(['mailto:first@example.net', 'mailto:second@example.net']));
    await done('example.net');
    expect((await mails()).flatMap(({ envelope }) => envelope.recipients.map(({ address }) => address))).toEqual([
      'second@example.net',
    ]);
    // The one that was believed dead comes back, and changes nothing.
    await ledger().retry(claim, 0, 'late');
    expect(await ledger().count('tls')).toBe(0);
  });

  it('is not uploaded into private networks', async () => {
    await note(subject('inside.example'));
    await sender(kindFor([webUri]), { private_addresses: false });
    const [one] = await waitFor('the try', async () => {
      const list = await ledger().pending('tls');
      return list[0]?.error !== undefined && list;
    });
    expect(one?.error).toMatch(/not a public address/);
    expect(uploads).toEqual([]);
  });

  it('is not sent while nobody says from whom', async () => {
    await note(subject('quiet.example'));
    const one = await sender(kindFor(['mailto:a@example.com']), { from: undefined });
    await one.stop();
    expect(await mails()).toEqual([]);
    expect(await ledger().count('tls')).toBe(1);
  });
});
