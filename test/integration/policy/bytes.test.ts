import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DnsServer, type SmtpDialog } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixtures } from '../../support/fixtures.js';
import { greet, type Relay, startRelay } from '../../support/relay.js';
import { states } from '../../support/track.js';

const folder = fixtures('mime-mail-parser');

/** As SMTP carries it: lines end in CRLF, one at the end (RFC 5321 §2.3.8). */
function asSmtp(octets: Buffer): Buffer {
  const text = octets.toString('latin1').replace(/\r\n|\r|\n/g, '\r\n');
  return Buffer.from(text.endsWith('\r\n') ? text : `${text}\r\n`, 'latin1');
}

const stuffed = (message: Buffer) => Buffer.from(message.toString('latin1').replace(/^\./gm, '..'), 'latin1');

describe.skipIf(!folder)(
  'messages of mime-mail-parser, many malformed, through the whole policy (fixture mime-mail-parser)',
  () => {
    const files = folder
      ? readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.eml'))
      : [];
    let dns: DnsServer;
    let relay: Relay;
    let dialog: SmtpDialog;
    beforeAll(async () => {
      dns = await DnsServer.start({});
      relay = await startRelay({
        listeners: [{ name: 'inbound', kind: 'mx', allow: [], domains: ['example.org'], banner_delay: '0ms' }],
        config: {
          delivery: { dns_servers: [dns.address], retry: { initial: '1s', jitter: 0 } },
          spam: { thresholds: { reject: 'off' } },
        },
      });
      dialog = await greet(relay.waypost.port('inbound'));
    });
    afterAll(async () => {
      dialog?.close();
      await relay?.stop();
      await dns?.stop();
    });

    it('are all there', () => expect(files.length).toBeGreaterThanOrEqual(100));

    it.each(files)('%s comes out byte for byte', async (name) => {
      const message = asSmtp(readFileSync(join(folder as string, name)));
      const rcpt = `${name.replace(/\W/g, '-')}@example.org`;
      for (const line of ['MAIL FROM:<a@example.com> BODY=8BITMIME', `RCPT TO:<${rcpt}>`, 'DATA']) {
        expect(await dialog.say(line)).toMatch(/^[23]/);
      }
      dialog.write(stuffed(message));
      dialog.write('.\r\n');
      const id = /queued as ([0-9a-f-]{36})/.exec(await dialog.reply())?.[1] ?? '';
      await states(relay, id, 'delivered');
      const taken = relay.peer.messages.find(({ rcpts }) => rcpts[0]?.includes(`<${rcpt}>`));
      const body = taken?.body ?? Buffer.alloc(0);
      const added = body.subarray(0, body.length - message.length);
      expect(body.subarray(added.length).equals(message)).toBe(true);
      // What stands before it are whole header fields of ours.
      expect(added.toString('latin1')).toMatch(/^(?:[A-Za-z][\w-]*: (?:[^\r\n]|\r\n[ \t])*\r\n)+$/);
      expect(added.toString('latin1')).toContain('\r\nX-Spam-Status: ');
    });

    it('met no check that failed', () => {
      expect(relay.waypost.log.filter(({ msg }) => /failed|could not/.test(String(msg)))).toEqual([]);
    });
  },
);
