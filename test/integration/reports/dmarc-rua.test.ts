import { resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { loadConfig } from '@waypost/config';
import { openRedis, type RedisHandle } from '@waypost/redis';
import { DmarcCollector, type DmarcMessage, dayOf } from '@waypost/reports';
import { DnsServer, run, SmtpDialog, txtRecord, waitFor } from '@waypost/testkit';
import { XMLParser } from 'fast-xml-parser';
import { simpleParser } from 'mailparser';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Relay, sendMessage, startRelay } from '../../support/relay.js';

const MAIN = resolve(import.meta.dirname, '../../../services/waypost/dist/main.js');
const OWN = '127.0.0.2';
const STRANGER = '127.0.0.3';
const TEXTS: Readonly<Record<string, string>> = {
  'sender.test': `v=spf1 ip4:${OWN} -all`,
  '_dmarc.sender.test':
    'v=DMARC1; p=quarantine; rua=mailto:own@sender.test,mailto:sub@mail.sender.test!1m,mailto:tiny@sender.test!10,' +
    'mailto:agreed@third.test,mailto:victim@other.test',
  'sender.test._report._dmarc.third.test': 'v=DMARC1',
  '_dmarc.silent.test': 'v=DMARC1; p=none',
};
const ROW: DmarcMessage = {
  at: Date.now() - 2 * 86_400_000,
  policy: {
    ...{ domain: 'sender.test', p: 'quarantine', sp: 'quarantine', np: 'quarantine', adkim: 'r', aspf: 'r' },
    ...{ pct: 100, testing: false, fo: '0', way: 'psl' },
  },
  row: {
    ...{ sourceIp: '192.0.2.1', disposition: 'quarantine', dkim: 'fail', spf: 'fail', reasons: [] },
    ...{ headerFrom: 'sender.test', envelopeFrom: 'sender.test', signatures: [] },
    sender: { domain: 'sender.test', scope: 'mfrom', result: 'fail' },
  },
};

// biome-ignore lint/suspicious/noExplicitAny: a parsed report
const parse = (xml: string): any =>
  new XMLParser({ parseTagValue: false, isArray: (name) => name === 'record' }).parse(xml);

let dns: DnsServer;
let relay: Relay;
let redis: RedisHandle;
beforeAll(async () => {
  const records = Object.entries(TEXTS).map(([name, text]) => [`${name} TXT`, [txtRecord(name, text)]]);
  dns = await DnsServer.start(Object.fromEntries(records));
  relay = await startRelay({
    listeners: [{ name: 'inbound', kind: 'mx', allow: [], domains: ['example.org'], banner_delay: '0ms' }],
    config: {
      delivery: { dns_servers: [dns.address] },
      reports: { from: 'dmarc@relay.test', organization: 'Relay Ltd' },
    },
  });
  redis = await openRedis({ ...loadConfig({ env: {} }).redis, url: relay.redis.url });
});
afterAll(async () => {
  await redis?.close();
  await relay?.stop();
  await dns?.stop();
});

async function cli(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(process.execPath, [
    ...[MAIN, 'reports', ...args, '--kind', 'dmarc', '--config', relay.waypost.file],
  ]);
  if (code !== 0) throw new Error(stderr);
  return stdout;
}

async function receive(from: string, client: string): Promise<void> {
  const dialog = await SmtpDialog.open(relay.waypost.port('inbound'), client);
  await dialog.reply();
  await dialog.say('EHLO client.test');
  expect(await sendMessage(dialog, `From: ${from}\r\nSubject: x\r\n\r\nx\r\n`, from, 'b@example.org')).toMatch(/^250/);
  dialog.close();
}

describe('DMARC aggregate reports', () => {
  it('count mail by source and result, of domains that ask for them', async () => {
    await receive('a@silent.test', STRANGER);
    for (const client of [OWN, OWN, STRANGER]) await receive('a@sender.test', client);
    const rows = await waitFor('three messages counted', async () => {
      const text = await cli('print', 'sender.test', dayOf(Date.now()));
      const { feedback } = text.startsWith('<') ? parse(text) : { feedback: undefined };
      const counts = (feedback?.record ?? []).map(({ row }: { row: { count: string } }) => Number(row.count));
      return counts.reduce((sum: number, count: number) => sum + count, 0) === 3 && feedback.record;
    });
    expect(rows).toMatchObject([
      {
        row: { source_ip: OWN, count: '2', policy_evaluated: { disposition: 'none', dkim: 'fail', spf: 'pass' } },
        identifiers: { envelope_from: 'sender.test', header_from: 'sender.test' },
        auth_results: { spf: { domain: 'sender.test', scope: 'mfrom', result: 'pass' } },
      },
      { row: { source_ip: STRANGER, count: '1', policy_evaluated: { disposition: 'quarantine', spf: 'fail' } } },
    ]);
    expect(await cli('print', 'silent.test', dayOf(Date.now()))).toMatch(/Nothing was counted/);
  });

  it('go to the domain itself and to those who agree to get them, once', async () => {
    const settings = () => ({ window: 0, goesTo: () => true });
    const collector = new DmarcCollector({ executor: redis.group, settings });
    for (let i = 0; i < 3; i += 1) collector.note(ROW);
    await collector.flush();
    collector.note({ ...ROW, row: { ...ROW.row, sourceIp: '192.0.2.2' } });
    await collector.flush();
    await cli('send', 'sender.test', dayOf(ROW.at));
    const mails = () => relay.peer.messages.filter(({ mail }) => /<dmarc@relay\.test>/.test(mail));
    await waitFor('the reports', () => mails().length >= 3);
    await waitFor('the ledger to be done', async () => !(await cli('list')).includes(`${dayOf(ROW.at)}\t`));
    expect(
      mails()
        .flatMap(({ rcpts }) => rcpts.map((rcpt) => /<([^>]+)>/.exec(rcpt)?.[1]))
        .toSorted(),
    ).toEqual(['agreed@third.test', 'own@sender.test', 'sub@mail.sender.test']);
    const mail = await simpleParser(mails()[0]?.body ?? '');
    const begin = Date.parse(`${dayOf(ROW.at)}T00:00:00Z`) / 1000;
    expect(mail.subject).toMatch(/^Report Domain: sender\.test Submitter: relay\.test Report-ID: <[^>]+>$/);
    const [file] = mail.attachments;
    expect(file?.filename).toBe(`relay.test!sender.test!${begin}!${begin + 86_399}.xml.gz`);
    expect(file?.contentType).toBe('application/gzip');
    const { feedback } = parse(gunzipSync(file?.content ?? Buffer.alloc(0)).toString());
    expect(feedback.report_metadata).toMatchObject({ org_name: 'Relay Ltd', email: 'dmarc@relay.test' });
    expect(feedback.policy_published).toMatchObject({ domain: 'sender.test', p: 'quarantine', adkim: 'r', pct: '100' });
    expect(feedback.record.map(({ row }: { row: object }) => row)).toMatchObject([
      { source_ip: '192.0.2.1', count: '3' },
      { source_ip: '192.0.2.2', count: '1' },
    ]);
  });

  it('list no more rows than anybody reads, and say how many messages are left out', async () => {
    const day = dayOf(ROW.at - 86_400_000);
    const collector = new DmarcCollector({
      executor: redis.group,
      settings: () => ({ window: 0, goesTo: () => true }),
    });
    for (let i = 0; i < 2_100; i += 1) {
      const sourceIp = `198.51.${i >> 8}.${i & 255}`;
      collector.note({ ...ROW, at: ROW.at - 86_400_000, row: { ...ROW.row, sourceIp } });
    }
    await collector.flush();
    const { feedback } = parse(await cli('print', 'sender.test', day));
    expect(feedback.record.length).toBeLessThanOrEqual(2_000);
    const left = Number(/^(\d+) messages more/.exec(feedback.report_metadata.error)?.[1]);
    expect(feedback.record.length + left).toBe(2_100);
  });
});
