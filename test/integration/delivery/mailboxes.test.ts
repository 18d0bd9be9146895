import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { end, find, freePort, missing, SmtpPeer, waitFor } from '@waypost/testkit';
import { ImapFlow } from 'imapflow';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Relay, startRelay, withoutTrace } from '../../support/relay.js';
import { dsnOf, states, submit } from '../../support/track.js';

describe('maildir', () => {
  let dir: string;
  let relay: Relay;
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'waypost-maildir-'));
    relay = await startRelay({ config: { routes: [{ match: '*', to: `maildir:${dir}/\${domain}/\${local}` }] } });
  });
  afterAll(async () => {
    await relay?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  it('holds the message whole in new/, nothing in tmp/', async () => {
    const id = await submit(relay, 'kept', { to: ['b@example.org', 'c@example.org'], body: '..dot\r\n\u00e4\r\n' });
    await states(relay, id, 'delivered', 'delivered');
    for (const local of ['b', 'c']) {
      const folder = join(dir, 'example.org', local);
      expect(readdirSync(join(folder, 'tmp'))).toEqual([]);
      const [file = ''] = readdirSync(join(folder, 'new'));
      const text = readFileSync(join(folder, 'new', file), 'utf8');
      expect(text).toMatch(/^Return-Path: <a@example\.com>\r\nDelivered-To: [bc]@example\.org\r\n/);
      expect(text).toMatch(/Subject: kept\r\n\r\n\.dot\r\n\u00e4\r\n$/);
    }
  });

  it.each(['../../etc/x', '/etc/x', '.hidden', '..'])('lets no address out of its folder: %s', async (local) => {
    const quoted = /^[\w]/.test(local) ? local : `"${local}"`;
    const id = await submit(relay, 'escape', { to: `${quoted}@example.net` }).catch((error: Error) => error.message);
    if (id.includes(' ')) return;
    await states(relay, id, 'delivered');
    expect(readdirSync(dir).sort()).toEqual(expect.arrayContaining(['example.net']));
    for (const name of readdirSync(join(dir, 'example.net'))) expect(name).toMatch(/^[^/.][^/]*$/);
  });
});

describe('LMTP', () => {
  it('takes a reply for each recipient, and tells the sender of success itself', async () => {
    const script = (phase: string, line: string) => {
      if (phase !== 'dot') return undefined;
      if (line.includes('full@')) return '452 4.2.2 mailbox full';
      return line.includes('gone@') ? '550 5.1.1 no such user' : undefined;
    };
    const lmtp = await SmtpPeer.start({ lmtp: true, script });
    const relay = await startRelay({
      config: {
        routes: [
          { match: 'example.org', to: `lmtp://127.0.0.1:${lmtp.port}` },
          { match: '*', to: 'sink' },
        ],
      },
    });
    const to = ['b@example.org', 'full@example.org', 'gone@example.org'];
    const id = await submit(relay, 'lmtp', { from: 'a@example.org', to, rcpt: 'NOTIFY=SUCCESS,FAILURE' });
    await states(relay, id, 'delivered', 'deferred', 'bounced');
    expect(lmtp.commands.some((line) => line.startsWith('LHLO'))).toBe(true);
    const { status } = await dsnOf(lmtp, id);
    expect(['delivered', 'failed']).toContain(status[1]?.action);
    await relay.stop();
    await lmtp.stop();
  });
});

const lacking = [...missing('dovecot', 'doveadm'), ...(process.getuid?.() === 0 ? [] : ['root'])];
describe.skipIf(lacking.length > 0)(
  'Dovecot over LMTP, read back over IMAP (needs dovecot-lmtpd, dovecot-imapd and root)',
  () => {
    let dir: string;
    let dovecot: ChildProcess;
    let relay: Relay;
    let imap: number;
    beforeAll(async () => {
      dir = mkdtempSync(join(tmpdir(), 'waypost-dovecot-'));
      chmodSync(dir, 0o755);
      const lmtp = await freePort();
      imap = await freePort();
      const [uid, gid] = ['-u', '-g'].map((flag) => Number(execFileSync('id', [flag, 'mail'], { encoding: 'utf8' })));
      mkdirSync(join(dir, 'mail'));
      chownSync(join(dir, 'mail'), uid as number, gid as number);
      writeFileSync(
        join(dir, 'dovecot.conf'),
        `
base_dir = ${dir}/run
log_path = ${dir}/log
ssl = no
disable_plaintext_auth = no
protocols = lmtp imap
listen = 127.0.0.1
first_valid_uid = 1
mail_location = maildir:${dir}/mail/%u
passdb {
  driver = static
  args = password=secret
}
userdb {
  driver = static
  args = uid=${uid} gid=${gid} home=${dir}/mail/%u allow_all_users=yes
}
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = ${lmtp}
  }
}
service imap-login {
  inet_listener imap {
    port = ${imap}
  }
  inet_listener imaps {
    port = 0
  }
}
`,
      );
      dovecot = spawn(find('dovecot') as string, ['-F', '-c', join(dir, 'dovecot.conf')], { stdio: 'ignore' });
      relay = await startRelay({ config: { routes: [{ match: '*', to: `lmtp://127.0.0.1:${lmtp}` }] } });
    });
    afterAll(async () => {
      await relay?.stop();
      if (dovecot) await end(dovecot);
      rmSync(dir, { recursive: true, force: true });
    });

    it('holds what was sent, byte for byte', async () => {
      const body = `first\r\n..dot\r\n\u00e4\u20ac\r\n${'long '.repeat(300)}\r\n\r\n`;
      const id = await submit(relay, 'mailbox', { to: 'reader@example.org', mail: 'BODY=8BITMIME', body });
      await states(relay, id, 'delivered');
      const client = new ImapFlow({
        host: '127.0.0.1',
        port: imap,
        secure: false,
        doSTARTTLS: false,
        auth: { user: 'reader@example.org', pass: 'secret' },
        logger: false,
      });
      await client.connect();
      const lock = await client.getMailboxLock('INBOX');
      const source = await waitFor('the message in the mailbox', async () => {
        const found = await client.fetchOne('*', { source: true });
        return found ? found.source : undefined;
      });
      lock.release();
      await client.logout();
      const text = source.toString('latin1');
      const from = text.indexOf('X-Waypost-Id:');
      const message = withoutTrace(Buffer.from(text.slice(from), 'latin1'));
      const expected = `From: a@example.com\r\nSubject: mailbox\r\n\r\n${body.replace('\r\n..', '\r\n.')}`;
      expect(message.toString('utf8')).toBe(expected);
      expect(userInfo().uid).toBe(0);
    });
  },
);
