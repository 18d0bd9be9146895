import { missing, waitFor } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  EICAR,
  type FilterProcess,
  GTUBE,
  type RspamdProcess,
  startClamd,
  startOpendkim,
  startRspamd,
  startSpamd,
} from '../../support/filters.js';
import { greet, type Relay, sendMessage, startRelay } from '../../support/relay.js';
import { eventTypes, states } from '../../support/track.js';

const lacking = missing('rspamd', 'spamd', 'clamd');
const LISTENERS = [{ name: 'inbound', kind: 'mx', allow: [], domains: ['example.org'], banner_delay: '0ms' }];

/** What the body of a test message is. */
const HARMLESS = 'Content-Type: text/plain\r\n\r\nSee you at lunch.\r\n';
const SPAM = `Content-Type: text/plain\r\n\r\n${GTUBE}\r\n`;
const attached = (encoding: string, content: string) =>
  [
    'MIME-Version: 1.0',
    'Content-Type: multipart/mixed; boundary=b',
    '',
    '--b',
    'Content-Type: text/plain',
    '',
    'see the file',
    '--b',
    'Content-Type: application/octet-stream; name=report.dat',
    `Content-Transfer-Encoding: ${encoding}`,
    '',
    content,
    '--b--',
    '',
  ].join('\r\n');
const VIRUS = attached('7bit', EICAR);
const VIRUS_BASE64 = attached('base64', Buffer.from(EICAR).toString('base64'));

const headed = (subject: string, rest: string) =>
  `From: Ann <ann@example.com>\r\nTo: b@example.org\r\nSubject: ${subject}\r\nDate: ${new Date().toUTCString()}\r\nMessage-ID: <${subject.replace(/\W/g, '.')}@example.com>\r\n${rest}`;

async function send(relay: Relay, subject: string, rest: string): Promise<string> {
  const dialog = await greet(relay.waypost.port('inbound'));
  const reply = await sendMessage(dialog, headed(subject, rest));
  dialog.close();
  const id = /queued as ([0-9a-f-]{36})/.exec(reply)?.[1];
  if (!id) throw new Error(`not accepted: ${reply}`);
  return id;
}

const arrived = (relay: Relay, subject: string) =>
  relay.peer.messages.filter(({ body }) => body.includes(`\r\nSubject: ${subject}\r\n`));

describe.skipIf(lacking.length > 0)(
  `filters of Debian in front of a relay (needs ${lacking.join(', ') || 'all'})`,
  () => {
    let rspamd: RspamdProcess;
    let spamd: FilterProcess;
    let clamd: FilterProcess;
    let clamdUnix: FilterProcess;
    beforeAll(async () => {
      [rspamd, spamd, clamd, clamdUnix] = await Promise.all([
        startRspamd(),
        startSpamd(),
        startClamd('tcp'),
        startClamd('unix'),
      ]);
    });
    afterAll(async () => {
      for (const filter of [rspamd, spamd, clamd, clamdUnix]) await filter?.stop();
    });

    const relayWith = (filters: Record<string, unknown>) =>
      startRelay({
        listeners: LISTENERS,
        config: { filters, policy: { retry: '500ms', checks: CHECKS } },
      });

    describe.each<[string, () => Record<string, unknown>]>([
      ['rspamd', () => ({ rspamd: { url: `http://${rspamd.address}` } })],
      ['spamd', () => ({ spamd: { address: spamd.address } })],
      ["rspamd's milter", () => ({ milters: [{ name: 'rspamd', address: rspamd.milter }] })],
    ])('%s', (_, filters) => {
      let relay: Relay;
      beforeAll(async () => {
        relay = await relayWith(filters());
      });
      afterAll(() => relay?.stop());

      it('stops the spam test pattern, and lets other mail through', async () => {
        const good = await send(relay, 'good', HARMLESS);
        const bad = await send(relay, 'bad', SPAM);
        const [state] = await states(relay, bad, 'rejected');
        expect(state?.last_response).toMatchObject({ code: 554, enhanced: '5.7.1' });
        await states(relay, good, 'delivered');
        expect(arrived(relay, 'bad')).toEqual([]);
        expect(arrived(relay, 'good')).toHaveLength(1);
      });
    });

    describe.each<[string, () => string]>([
      ['TCP', () => clamd.address],
      ['a Unix socket', () => clamdUnix.address],
    ])('clamd over %s', (_, address) => {
      let relay: Relay;
      beforeAll(async () => {
        relay = await relayWith({ clamd: { address: address() } });
      });
      afterAll(() => relay?.stop());

      it.each([
        ['raw', VIRUS],
        ['in base64', VIRUS_BASE64],
      ])('stops the virus test file %s', async (name, rest) => {
        const id = await send(relay, `virus ${name}`, rest);
        const [state] = await states(relay, id, 'rejected');
        expect(state?.last_response).toMatchObject({ code: 554, enhanced: '5.7.1' });
        expect(state?.last_response?.text).toContain('Test.Eicar');
        expect(arrived(relay, `virus ${name}`)).toEqual([]);
      });

      it("lets what is over clamd's own limit through, as is its default, and is not taken for down", async () => {
        const large = `Content-Type: text/plain\r\n\r\n${`${'x'.repeat(70)}\r\n`.repeat(25_000)}`;
        const id = await send(relay, 'large', large);
        await states(relay, id, 'delivered');
        expect(await relay.waypost.metric('waypost_filter_breaker')).toBe(0);
        const next = await send(relay, 'after large', HARMLESS);
        await states(relay, next, 'delivered');
      });
    });

    it('rspamd has header fields added and taken out', async () => {
      const relay = await relayWith({ rspamd: { url: `http://${rspamd.address}` } });
      await states(relay, await send(relay, 'fields', `X-Ask: fields\r\n${HARMLESS}`), 'delivered');
      const text = arrived(relay, 'fields')[0]?.body.toString('latin1') ?? '';
      expect(text).toContain('\r\nX-Own: seen by rspamd\r\n');
      expect(text).not.toContain('X-Ask');
      await relay.stop();
    });

    it.each<[string, () => FilterProcess, (address: string, call: object) => Record<string, unknown>, string]>([
      ['rspamd', () => rspamd, (address, call) => ({ rspamd: { url: `http://${address}`, ...call } }), 'pass'],
      ['spamd', () => spamd, (address, call) => ({ spamd: { address, ...call } }), 'hold'],
      ['clamd', () => clamd, (address, call) => ({ clamd: { address, ...call } }), 'defer'],
    ])('%s that hangs: messages go the way that is set', async (name, filter, settings, on_failure) => {
      const call = { timeout: '400ms', failures: 2, cool_down: '200ms', on_failure };
      const relay = await relayWith(settings(filter().address, call));
      try {
        filter().freeze();
        const ids = await Promise.all([1, 2, 3].map((at) => send(relay, `${name} hangs ${at}`, HARMLESS)));
        const seen = on_failure === 'pass' ? 'Delivery' : on_failure === 'hold' ? 'Held' : 'PolicyDefer';
        for (const id of ids) {
          await waitFor(`${seen} of ${id}`, async () => (await eventTypes(relay, id)).includes(seen));
        }
        filter().thaw();
        const after = on_failure === 'hold' ? 'held' : 'delivered';
        for (const id of ids) await states(relay, id, after);
        await waitFor('the filter to be in use again', async () => {
          await send(relay, `${name} again`, HARMLESS);
          return (await relay.waypost.metric('waypost_filter_breaker')) === 0;
        });
      } finally {
        filter().thaw();
        await relay.stop();
      }
    });

    describe('killed in mid-traffic', () => {
      const down = { failures: 2, cool_down: '300ms', timeout: '3s' };
      it.each<[string, () => Promise<FilterProcess>, (address: string) => Record<string, unknown>, string]>([
        ['rspamd', startRspamd, (address) => ({ rspamd: { url: `http://${address}`, ...down } }), SPAM],
        ['spamd', startSpamd, (address) => ({ spamd: { address, ...down } }), SPAM],
        ['clamd', () => startClamd('tcp'), (address) => ({ clamd: { address, ...down } }), VIRUS_BASE64],
      ])(
        '%s: nothing that was answered 250 is lost or comes twice',
        async (name, start, settings, harmful) => {
          const filter = await start();
          const relay = await relayWith(settings(filter.address));
          const sent: { subject: string; id: string; harmful: boolean }[] = [];
          let stop = false;
          const traffic = Promise.all(
            [0, 1, 2].map(async (client) => {
              for (let at = 0; !stop; at++) {
                const isHarmful = at % 5 === 4;
                const subject = `${name} ${client} ${at}`;
                const id = await send(relay, subject, isHarmful ? harmful : HARMLESS);
                sent.push({ subject, id, harmful: isHarmful });
              }
            }),
          );
          const more = (count: number, what: string) => {
            const from = sent.length;
            return waitFor(what, () => sent.length >= from + count);
          };
          try {
            await more(30, 'traffic before');
            await filter.kill();
            await waitFor(
              'the breaker to open',
              async () => (await relay.waypost.metric('waypost_filter_breaker')) === 2,
            );
            await more(30, 'traffic while it is down');
            await filter.restart();
            await waitFor(
              'the breaker to close',
              async () => (await relay.waypost.metric('waypost_filter_breaker')) === 0,
            );
            await more(15, 'traffic after');
          } finally {
            stop = true;
            await traffic;
          }
          for (const { subject, harmful: isHarmful, id } of sent) {
            const state = await waitFor(`${subject} to be settled`, async () => {
              const types = await eventTypes(relay, id);
              return types.find((type) => type === 'Delivery' || type === 'Rejection');
            });
            if (!isHarmful) expect(state).toBe('Delivery');
            // A virus waits for the scanner; spam goes on unmarked while the filter is down, as is the default.
            if (isHarmful && name === 'clamd') expect(state).toBe('Rejection');
            expect(arrived(relay, subject)).toHaveLength(state === 'Delivery' ? 1 : 0);
          }
          await relay.stop();
          await filter.stop();
        },
        120_000,
      );
    });
  },
);

const noMilter = missing('opendkim');

describe.skipIf(noMilter.length > 0)(`a milter (needs ${noMilter.join(', ') || 'opendkim'})`, () => {
  it('adds its header field to the message as it stands, and is waited for while it is down', async () => {
    const opendkim = await startOpendkim();
    const relay = await startRelay({
      listeners: LISTENERS,
      config: {
        filters: { milters: [{ name: 'opendkim', address: `inet:${opendkim.address.replace(/(.*):(.*)/, '$2@$1')}` }] },
        policy: { retry: '300ms', checks: CHECKS },
      },
    });
    try {
      await states(relay, await send(relay, 'signed', HARMLESS), 'delivered');
      const body = arrived(relay, 'signed')[0]?.body ?? Buffer.alloc(0);
      expect(body.toString('latin1')).toMatch(/^DKIM-Signature: v=1; a=rsa-sha256;[^:]*\bd=example\.com;/m);
      expect(body.subarray(-HARMLESS.length).toString()).toBe(HARMLESS);
      await opendkim.kill();
      const id = await send(relay, 'later', HARMLESS);
      await waitFor('a deferral', async () => (await eventTypes(relay, id)).includes('PolicyDefer'));
      await opendkim.restart();
      await states(relay, id, 'delivered');
      expect(arrived(relay, 'later')).toHaveLength(1);
    } finally {
      await relay.stop();
      await opendkim.stop();
    }
  });
});

/** Without our own heuristics, so that what stops a message is the filter. */
const CHECKS = [
  'size',
  'loop',
  'recipients',
  'suppression',
  'rspamd',
  'spamd',
  'clamd',
  'milter',
  'spam-verdict',
  'trace',
];
