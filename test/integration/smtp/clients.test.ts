import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { missing, run, TEST_KEY } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arrival, type Relay, startRelay } from '../../support/relay.js';

let relay: Relay;
const port = (name: string) => String(relay.waypost.port(name));
beforeAll(async () => {
  relay = await startRelay({
    listeners: [
      { name: 'submission', kind: 'submission', tls: 'starttls' },
      { name: 'submissions', kind: 'submission', tls: 'implicit' },
      { name: 'trusted', kind: 'relay' },
    ],
  });
});
afterAll(() => relay?.stop());

const client = (name: string, program: string, suite: () => void) =>
  describe.skipIf(missing(program).length > 0)(`${name} (needs ${program})`, suite);

/** @param name is also the subject that is waited for. */
async function sends(name: string, program: string, args: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await run(program, args, input);
  expect(`${stdout}${stderr} ended with ${code}`).toMatch(/ended with 0$/);
  return (await arrival(relay.peer, name)).body.toString();
}

client('swaks', 'swaks', () => {
  const common = ['--from', 'a@example.com', '--to', 'b@example.org', '--server', '127.0.0.1'];
  const auth = (kind: string) => ['--auth', kind, '--auth-user', 'swaks', '--auth-password', TEST_KEY];

  it('relays in the clear', async () => {
    const args = [...common, '--port', port('trusted'), '--header', 'Subject: swaks plain'];
    expect(await sends('swaks plain', 'swaks', args)).toContain('This is a test mailing');
  });

  it('submits over STARTTLS with PLAIN', async () => {
    const args = [...common, '--port', port('submission'), '-tls', ...auth('PLAIN'), '--header', 'Subject: swaks tls'];
    expect(await sends('swaks tls', 'swaks', args)).toMatch(/with ESMTPSA/);
  });

  it('submits over implicit TLS with LOGIN', async () => {
    const subject = 'swaks implicit';
    const args = [
      ...common,
      '--port',
      port('submissions'),
      '-tlsc',
      ...auth('LOGIN'),
      '--header',
      `Subject: ${subject}`,
    ];
    expect(await sends(subject, 'swaks', args)).toMatch(/with ESMTPSA/);
  });

  it('pipelines', async () => {
    const args = [...common, '--port', port('trusted'), '--pipeline', '--header', 'Subject: swaks pipeline'];
    await sends('swaks pipeline', 'swaks', args);
  });
});

client('msmtp', 'msmtp', () => {
  it('submits over STARTTLS', async () => {
    const file = join(relay.waypost.dir, 'msmtprc');
    const lines = ['account default', 'host 127.0.0.1', `port ${port('submission')}`, 'tls on', 'tls_certcheck off'];
    const login = ['auth plain', 'user msmtp', `password ${TEST_KEY}`, 'from a@example.com'];
    writeFileSync(file, `${[...lines, 'tls_starttls on', ...login].join('\n')}\n`, { mode: 0o600 });
    const message = 'Subject: msmtp\nTo: b@example.org\nBcc: hidden@example.org\n\nhello\n.\n.dots\n';
    const body = await sends('msmtp', 'msmtp', ['-C', file, '-t'], message);
    expect(body).toContain('\r\nhello\r\n.\r\n.dots\r\n');
    expect(body).not.toContain('hidden@');
  });
});

client('curl', 'curl', () => {
  it('submits over implicit TLS', async () => {
    const url = ['--url', `smtps://127.0.0.1:${port('submissions')}`, '-k', '--user', `curl:${TEST_KEY}`];
    const envelope = ['--mail-from', 'a@example.com', '--mail-rcpt', 'b@example.org', '-T', '-'];
    await sends('curl', 'curl', ['-sS', ...url, ...envelope], 'Subject: curl\r\n\r\nhello\r\n');
  });
});

client('smtplib', 'python3', () => {
  it('submits over STARTTLS, several messages in one session', async () => {
    const script = [
      'import smtplib, ssl, sys',
      'c = ssl.create_default_context(); c.check_hostname = False; c.verify_mode = ssl.CERT_NONE',
      's = smtplib.SMTP("127.0.0.1", int(sys.argv[1])); s.starttls(context=c); s.login("python", sys.argv[2])',
      'for n in range(3):',
      '    s.sendmail("a@example.com", ["b@example.org"], "Subject: smtplib %d\\r\\n\\r\\nhello\\r\\n" % n)',
      's.quit()',
    ].join('\n');
    await sends('smtplib 2', 'python3', ['-c', script, port('submission'), TEST_KEY]);
    await arrival(relay.peer, 'smtplib 0');
    await arrival(relay.peer, 'smtplib 1');
  });
});
