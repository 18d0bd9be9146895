import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, missing, SmtpPeer, waitFor } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { identityPem } from '../../support/identity.js';
import { arrival, type Relay, startRelay } from '../../support/relay.js';
import { recipients, states, submit } from '../../support/track.js';

describe.skipIf(missing('openssl').length > 0)('TLS and AUTH to a next hop (needs openssl)', () => {
  let dir: string;
  let relay: Relay;
  let secure: SmtpPeer;
  let broken: SmtpPeer;
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'waypost-tls-'));
    const tls = await identityPem(dir, 'peer', 'localhost');
    secure = await SmtpPeer.start({ tls, extensions: ['PIPELINING', 'AUTH PLAIN LOGIN'] });
    // Says it can, and then cannot.
    broken = await SmtpPeer.start({
      tls,
      script: (phase) => (phase === 'starttls' ? '454 4.7.0 no TLS now' : undefined),
    });
    const auth = { user: 'me', password: 'secret-of-the-smart-host' };
    const at = (peer: SmtpPeer) => `smtp://127.0.0.1:${peer.port}`;
    relay = await startRelay({
      config: {
        routes: [
          { match: 'opportunistic.test', to: at(secure) },
          { match: 'verified.test', to: at(secure), tls: 'verify' },
          { match: 'required.test', to: at(secure), tls: 'required' },
          { match: 'broken.test', to: at(broken) },
          { match: 'broken-required.test', to: at(broken), tls: 'required' },
          { match: 'login.test', to: at(secure), auth, tls: 'required' },
          { match: 'careful.test', to: at(secure), auth },
        ],
        delivery: { retry: { initial: '1s' } },
      },
    });
  });
  afterAll(async () => {
    await relay?.stop();
    await secure?.stop();
    await broken?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  it.each<[string, () => SmtpPeer, boolean]>([
    ['opportunistic.test', () => secure, true],
    ['required.test', () => secure, true],
    ['broken.test', () => broken, false],
  ])('%s is delivered', async (domain, peer, encrypted) => {
    await submit(relay, domain, { to: `b@${domain}` });
    expect((await arrival(peer(), domain)).secure).toBe(encrypted);
  });

  it.each([
    ['verified.test', /certificate|self.signed|TLS/i],
    ['broken-required.test', /TLS/i],
    // A password is shown to no one who cannot prove who he is.
    ['careful.test', /certificate|self.signed|TLS/i],
  ])('%s waits', async (domain, reason) => {
    const id = await submit(relay, domain, { to: `b@${domain}` });
    const [only] = await states(relay, id, 'deferred');
    expect(only?.last_response?.text).toMatch(reason);
    expect([...secure.messages, ...broken.messages].some(({ body }) => body.includes(`Subject: ${domain}\r\n`))).toBe(
      false,
    );
  });

  it('logs in before it sends', async () => {
    await submit(relay, 'login', { to: 'b@login.test' });
    expect((await arrival(secure, 'login')).secure).toBe(true);
    const login = secure.commands.find((line) => line.startsWith('AUTH PLAIN'));
    expect(Buffer.from(login?.split(' ')[2] ?? '', 'base64').toString()).toBe('\0me\0secret-of-the-smart-host');
    expect(relay.waypost.output).not.toContain('secret-of-the-smart-host');
  });
});

describe('what a next hop cannot take', () => {
  let relay: Relay;
  let plain: SmtpPeer;
  beforeAll(async () => {
    plain = await SmtpPeer.start({ extensions: ['SIZE 2000'] });
    relay = await startRelay({
      config: { routes: [{ match: '*', to: `smtp://127.0.0.1:${plain.port}`, tls: 'none' }] },
    });
  });
  afterAll(async () => {
    await relay?.stop();
    await plain?.stop();
  });

  it('bounces an address that needs SMTPUTF8', async () => {
    const id = await submit(relay, 'utf8', { from: '', to: 'b\u00fc@example.org', mail: 'SMTPUTF8' });
    expect((await states(relay, id, 'bounced'))[0]?.last_response).toMatchObject({ code: 550, enhanced: '5.6.7' });
  });

  it('bounces a message larger than it announced', async () => {
    const id = await submit(relay, 'size', { from: '', body: `${'x'.repeat(70)}\r\n`.repeat(40) });
    expect((await states(relay, id, 'bounced'))[0]?.last_response).toMatchObject({ code: 552, enhanced: '5.3.4' });
  });

  it('sends one command at a time where it does not pipeline', async () => {
    await submit(relay, 'stepwise');
    await arrival(plain, 'stepwise');
  });

  it('waits for a next hop that is not there yet', async () => {
    const port = await freePort();
    const waiting = await startRelay({
      config: {
        routes: [{ match: '*', to: `smtp://127.0.0.1:${port}`, tls: 'none' }],
        delivery: { retry: { initial: '300ms', factor: 1 } },
      },
    });
    const id = await submit(waiting, 'patient');
    await states(waiting, id, 'deferred');
    const late = await SmtpPeer.start({}, port);
    await arrival(late, 'patient');
    await states(waiting, id, 'delivered');
    await waiting.stop();
    await late.stop();
  });

  it('gives up on a peer that hangs, and says in which phase', async () => {
    const hanging = await SmtpPeer.start({ script: (phase) => (phase === 'dot' ? 'hang' : undefined) });
    const other = await startRelay({
      config: {
        routes: [{ match: '*', to: `smtp://127.0.0.1:${hanging.port}`, tls: 'none' }],
        delivery: { timeouts: { final_dot: '500ms', command: '500ms', data: '500ms' } },
      },
    });
    const id = await submit(other, 'hanging');
    const text = await waitFor('the attempt to end', async () => {
      const [only] = await recipients(other, id);
      return only?.state === 'deferred' && only.last_response?.text;
    });
    expect(text).toMatch(/final dot/);
    await other.stop();
    await hanging.stop();
  });
});
