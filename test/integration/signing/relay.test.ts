import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { DnsServer, run, txtRecord, waitFor, type Zone } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dkimKey, newKey, recordsOf } from '../../support/dkim-keys.js';
import { missingVerifiers, withDkimpy, withMailauth, withOpenDkim } from '../../support/dkim-peers.js';
import { arrival, greet, type Relay, sendMessage, startRelay, withoutTrace } from '../../support/relay.js';
import { eventTypes, states, submit } from '../../support/track.js';

const MAIN = resolve(import.meta.dirname, '../../../services/waypost/dist/main.js');
const RSA = newKey('rsa');
const ED = newKey('ed25519');
const NEXT = newKey('ed25519');
const RECORDS = recordsOf(
  dkimKey(RSA, 'r', 'example.com'),
  dkimKey(ED, 'e', 'example.com'),
  dkimKey(ED, 'old', 'turning.test'),
  dkimKey(NEXT, 'new', 'turning.test'),
);
const absent = await missingVerifiers();

const zoneOf = (...names: string[]): Zone =>
  Object.fromEntries(names.map((name) => [`${name} TXT`, [txtRecord(name, RECORDS[name] ?? '')]]));

let dir: string;
let dns: DnsServer;
let relay: Relay;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'dkim-'));
  writeFileSync(join(dir, 'rsa.pem'), RSA);
  dns = await DnsServer.start(zoneOf('r._domainkey.example.com', 'old._domainkey.turning.test'));
  relay = await startRelay({
    listeners: [
      { name: 'trusted' },
      { name: 'inbound', kind: 'mx', allow: [], domains: ['example.org'], banner_delay: '0ms' },
    ],
    config: {
      delivery: { dns_servers: [dns.address] },
      dkim: {
        domains: [
          {
            match: 'example.com',
            keys: [
              { selector: 'r', key_file: join(dir, 'rsa.pem') },
              { selector: 'e', key: ED },
            ],
          },
          {
            match: 'turning.test',
            keys: [
              { selector: 'old', key: ED },
              { selector: 'new', key: NEXT, replaces: 'old' },
            ],
          },
          { match: 'ended.test', keys: [{ selector: 'r', key: RSA, until: '2026-01-01' }] },
        ],
      },
    },
  });
});
afterAll(async () => {
  await relay?.stop();
  await dns?.stop();
  if (dir) rmSync(dir, { recursive: true, force: true });
});

const selectorsOf = (body: Buffer) =>
  [...body.toString('latin1').matchAll(/^DKIM-Signature:[\s\S]*?\bs=([^;]+);/gm)].map(([, name]) => name);

async function relayed(subject: string, head: string, body: string): Promise<{ sent: Buffer; got: Buffer }> {
  const sent = Buffer.from(`${head}Subject: ${subject}\r\n\r\n${body}`, 'latin1');
  const dialog = await greet(relay.waypost.port('trusted'));
  const stuffed = Buffer.from(sent.toString('latin1').replace(/^\./gm, '..'), 'latin1');
  expect(await sendMessage(dialog, stuffed)).toMatch(/^250/);
  dialog.close();
  return { sent, got: (await arrival(relay.peer, subject)).body };
}

const HEAD = 'From: A <a@example.com>\r\nTo: b@example.org\r\n';

describe('mail that was signed on its way', () => {
  it.each([
    ['plain', HEAD, 'hello\r\n'],
    ['eight bits', `${HEAD}X-A: \xfc\r\n`, 'Gr\xfc\xdfe \xa0 \r\n\t\r\n'],
    ['dots', HEAD, '.\r\n..\r\n.x\r\n'],
    ['blank ends', HEAD, '  a \t b \r\n\r\n\r\n'],
    ['no body', HEAD, ''],
    ['long lines', HEAD, `${'word '.repeat(5000)}\r\n`],
    ['large', HEAD, `${'Zeile  mit \xe4 und Blanks \t\r\n'.repeat(40_000)}\r\n\r\n`],
  ])('arrives byte for byte and verifies: %s', async (subject, head, body) => {
    const { sent, got } = await relayed(subject, head, body);
    const own = got.subarray(got.indexOf(`${head}Subject:`, 0, 'latin1'));
    expect(own.equals(sent)).toBe(true);
    expect(await withMailauth([got], RECORDS)).toEqual([['pass', 'pass']]);
    if (!absent.includes('python3-dkim')) expect(await withDkimpy([got], RECORDS)).toEqual([['pass', 'pass']]);
    if (!absent.includes('opendkim')) expect(await withOpenDkim([got], RECORDS)).toEqual([['pass', 'pass']]);
  });

  it('is signed for the envelope sender where its author has no domain here, and left alone where neither has', async () => {
    const dialog = await greet(relay.waypost.port('trusted'));
    const from = 'From: x@elsewhere.test\r\n';
    await sendMessage(dialog, `${from}Subject: by the sender\r\n\r\nx\r\n`, 'bounce@example.com');
    await sendMessage(dialog, `${from}Subject: by nobody\r\n\r\nx\r\n`, 'bounce@elsewhere.test');
    dialog.close();
    const [one, none] = [await arrival(relay.peer, 'by the sender'), await arrival(relay.peer, 'by nobody')];
    expect(await withMailauth([one.body], RECORDS)).toEqual([['pass', 'pass']]);
    expect(selectorsOf(none.body)).toEqual([]);
  });

  it('is not what came from outside, whoever it says it is from', async () => {
    const dialog = await greet(relay.waypost.port('inbound'));
    await sendMessage(dialog, `${HEAD}Subject: pretended\r\n\r\nx\r\n`, 'a@example.com');
    dialog.close();
    const { body } = await arrival(relay.peer, 'pretended');
    expect(selectorsOf(body)).toEqual([]);
    expect(withoutTrace(body).toString()).toBe(`${HEAD}Subject: pretended\r\n\r\nx\r\n`);
  });

  it('waits where its domain has no key any more, and the log says why', async () => {
    const id = await submit(relay, 'ended', { from: 'a@ended.test' });
    await waitFor('the deferral', async () => (await eventTypes(relay, id)).includes('PolicyDefer'));
    await states(relay, id, 'accepted');
    await waitFor('the reason in the log', () =>
      relay.waypost.log.some((line) => line.id === id && /no key of ended\.test/.test(String(line.error))),
    );
    expect(await relay.waypost.metric('waypost_signing_failures_total')).toBeGreaterThan(0);
  });

  it('goes over to a new key when its record is seen', async () => {
    const from = 'a@turning.test';
    await submit(relay, 'before', { from });
    expect(selectorsOf((await arrival(relay.peer, 'before')).body)).toEqual(['old']);
    const change = (edit: (domains: Record<string, unknown>[]) => void) => {
      const config = JSON.parse(readFileSync(relay.waypost.file, 'utf8'));
      edit(config.dkim.domains);
      writeFileSync(`${relay.waypost.file}.new`, JSON.stringify(config));
      renameSync(`${relay.waypost.file}.new`, relay.waypost.file);
    };
    // What DNS said of the name is remembered for a while: another name is asked for at once.
    const turning = (second: Record<string, unknown>) => ({
      match: 'sub.turning.test',
      domain: 'turning.test',
      keys: [{ selector: 'old', key: ED }, second],
    });
    change((domains) => domains.splice(1, 1, turning({ selector: 'newer', key: NEXT, replaces: 'old' })));
    dns.zone = {
      ...zoneOf(),
      'newer._domainkey.turning.test TXT': [txtRecord('x', RECORDS['new._domainkey.turning.test'] ?? '')],
    };
    await waitFor('the reload', () => relay.waypost.log.some(({ msg }) => msg === 'configuration reloaded'));
    await submit(relay, 'after', { from: 'a@sub.turning.test' });
    expect(selectorsOf((await arrival(relay.peer, 'after')).body)).toEqual(['newer']);
    change((domains) => domains.splice(1, 1, turning({ selector: 'broken', key: 'none' })));
    await waitFor('the refusal', () =>
      relay.waypost.log.some(({ msg }) => /refused, the old one stays/.test(String(msg))),
    );
    await submit(relay, 'kept', { from: 'a@sub.turning.test' });
    expect(selectorsOf((await arrival(relay.peer, 'kept')).body)).toEqual(['newer']);
  });
});

describe('waypost dkim', () => {
  const cli = (...args: string[]) => run(process.execPath, [MAIN, 'dkim', ...args]);

  it('makes a key that works as it is printed, and finds its record', async () => {
    const made = await cli('generate', 'made.test', '--selector', 's1', '--type', 'ed25519', '--dir', dir);
    expect(made.code).toBe(0);
    const again = await cli('generate', 'made.test', '--selector', 's1', '--dir', dir);
    expect([again.code, again.stderr]).toEqual([1, expect.stringMatching(/not overwritten/)]);
    const [, name = '', text = ''] = /^(\S+)\. IN TXT \( "([^"]+)" \)$/m.exec(made.stdout) ?? [];
    expect(name).toBe('s1._domainkey.made.test');
    const file = join(dir, 'check.yaml');
    const dkim = made.stdout.slice(made.stdout.indexOf('dkim:'));
    const server = await DnsServer.start({ [`${name} TXT`]: [txtRecord(name, text)] });
    try {
      writeFileSync(file, `delivery: { dns_servers: ["${server.address}"] }\n${dkim}`);
      expect(await cli('check', '-c', file)).toMatchObject({ code: 0, stdout: `${name}: good\n` });
      server.zone = {};
      expect(await cli('check', '-c', file)).toMatchObject({ code: 1, stdout: `${name}: there is no record\n` });
    } finally {
      await server.stop();
    }
  });
});
