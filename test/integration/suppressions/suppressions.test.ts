import { resolve } from 'node:path';
import { run, TEST_KEY } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call } from '../../support/http.js';
import { type Relay, startRelay } from '../../support/relay.js';
import { states, submit } from '../../support/track.js';

const MAIN = resolve(import.meta.dirname, '../../../services/waypost/dist/main.js');
const BLUE = 'wp_blue_0123456789abcdef0123456789abcdef';

/** A next hop whose answers to RCPT depend on the address. */
const REPLIES: Record<string, string> = {
  gone: '550 5.1.1 no such user',
  full: '552 5.2.2 mailbox full',
  spam: '550 5.7.1 rejected as spam',
};
let relay: Relay;
beforeAll(async () => {
  relay = await startRelay({
    listeners: [
      { name: 'trusted' },
      { name: 'inbound', kind: 'mx', allow: [], domains: ['example.org'], banner_delay: '0ms' },
    ],
    peer: {
      script: (phase, line) => {
        const name = phase === 'rcpt' ? /<([a-z]+)/.exec(line)?.[1] : undefined;
        return name ? REPLIES[name] : undefined;
      },
    },
    config: {
      suppressions: { causes: { mailbox_full: { for: '7d', after: '2/1d' } } },
      keys: [
        { id: 'test', secret: TEST_KEY, scopes: ['send', 'read', 'admin'] },
        { id: 'blue', secret: BLUE, scopes: ['read', 'admin'], tenant: 'blue' },
      ],
    },
  });
});
afterAll(() => relay?.stop());

const api = (path: string, options = {}) => call(relay.waypost.http, `/v1/suppressions${path}`, options);
const tried = (address: string) => relay.peer.commands.filter((line) => line.startsWith(`RCPT TO:<${address}>`)).length;

async function send(to: string, state: string) {
  const id = await submit(relay, `to ${to}`, { to });
  return (await states(relay, id, state))[0];
}

describe('a bounce', () => {
  it('of an address that does not exist puts it on the list: the next message is not tried', async () => {
    expect(await send('gone@example.org', 'bounced')).toMatchObject({ cause: 'user_unknown' });
    expect((await api('/gone@example.org')).body).toMatchObject({
      address: 'gone@example.org',
      cause: 'user_unknown',
      reason: '550 5.1.1 no such user',
      expires_at: null,
    });
    const again = await send('Gone@example.org', 'suppressed');
    expect(again?.last_response?.text).toMatch(/^gone@example\.org is suppressed since .*: user_unknown$/);
    expect(tried('gone@example.org')).toBe(1);
  });

  it('of a full mailbox counts only when it stays so', async () => {
    await send('full@example.org', 'bounced');
    expect((await api('/full@example.org')).status).toBe(404);
    await send('full@example.org', 'bounced');
    expect((await api('/full@example.org')).body).toMatchObject({
      cause: 'mailbox_full',
      expires_at: expect.any(String),
    });
  });

  it('that is about the message suppresses nobody', async () => {
    expect(await send('spam@example.org', 'bounced')).toMatchObject({ cause: 'spam' });
    expect((await api('/spam@example.org')).status).toBe(404);
  });

  it('of mail from outside suppresses nobody', async () => {
    const id = await submit(relay, 'from outside', {
      to: 'gone@example.org',
      listener: 'inbound',
      from: 'any@example.com',
    });
    // The list holds for it as for all mail.
    await states(relay, id, 'suppressed');
    await api('/gone@example.org', { method: 'DELETE' });
    const again = await submit(relay, 'from outside again', {
      to: 'gone@example.org',
      listener: 'inbound',
      from: 'any@example.com',
    });
    await states(relay, again, 'bounced');
    expect((await api('/gone@example.org')).status).toBe(404);
  });
});

describe('the API', () => {
  it('adds, shows, lists and takes off', async () => {
    const added = await api('', {
      body: { address: 'Manual@Example.org', reason: 'asked by phone', expires_at: '2100-01-01T00:00:00Z' },
    });
    expect(added).toMatchObject({ status: 201, body: { address: 'manual@example.org', cause: 'manual' } });
    expect((await api('/manual@example.org')).body).toMatchObject({
      reason: 'asked by phone',
      expires_at: '2100-01-01T00:00:00.000Z',
    });
    const list = await api('?cause=manual');
    expect(list.body.data.map((one: { address: string }) => one.address)).toEqual(['manual@example.org']);
    expect((await api('/manual@example.org', { method: 'DELETE' })).status).toBe(204);
    expect((await api('/manual@example.org', { method: 'DELETE' })).status).toBe(404);
  });

  it('says what is wrong', async () => {
    expect(await api('', { body: { address: 'nobody' } })).toMatchObject({
      status: 422,
      body: { detail: expect.stringContaining('"nobody" is no address') },
    });
    expect((await api('', { body: { address: 'a@b.test', other: 1 } })).status).toBe(422);
    expect((await api('?cursor=x')).status).toBe(422);
    expect((await api('', { key: 'wp_wrong' })).status).toBe(401);
  });

  it('takes a domain for all of its addresses', async () => {
    await api('', { body: { address: '@closed.example' } });
    await send('anyone@closed.example', 'suppressed');
    await api('/@closed.example', { method: 'DELETE' });
  });

  it('shows a tenant his own', async () => {
    await api('', { key: BLUE, body: { address: 'his@example.org' } });
    expect((await api('/his@example.org', { key: BLUE })).body).toMatchObject({ tenant: 'blue' });
    expect((await api('/his@example.org')).status).toBe(404);
    expect((await api('', { key: BLUE })).body.data).toHaveLength(1);
  });
});

describe('CSV', () => {
  const csv = { headers: { 'content-type': 'text/csv' } };

  it('goes in and comes out again, and names the lines that are wrong', async () => {
    const file = [
      'Address,reason,expires,other',
      'one@example.org,"said ""no"", twice",,x',
      'wrong address,,,',
      '',
      'two@example.org,,2100-01-01T00:00:00Z,',
      'three@example.org,,soon,',
    ].join('\r\n');
    const answer = await api('/import', { ...csv, body: file });
    expect(answer.body).toMatchObject({ imported: 2, skipped: 2 });
    expect(answer.body.problems.map(({ line }: { line: number }) => line)).toEqual([3, 6]);
    const text = (await api('/export')).body as string;
    expect(text.split('\n')[0]).toBe('address,cause,reason,at,expires,tenant');
    expect(text).toContain('one@example.org,manual,"said ""no"", twice",');
    expect(text).toMatch(/^two@example\.org,manual,,[^,]+,2100-01-01T00:00:00\.000Z,$/m);
    const back = await api('/import', { ...csv, body: text });
    expect(back.body.skipped).toBe(0);
    expect((await api('/one@example.org')).body.reason).toBe('said "no", twice');
  });

  it('that is none is refused', async () => {
    expect((await api('/import', { ...csv, body: 'address\n"never ends' })).status).toBe(422);
    expect((await api('/import', { body: {} })).status).toBe(415);
  });
});

describe('the command line', () => {
  const cli = (...args: string[]) =>
    run(process.execPath, [MAIN, 'suppressions', ...args, '--config', relay.waypost.file]);

  it('adds, shows and takes off', async () => {
    expect((await cli('add', 'cli@example.org', '--reason', 'by hand')).stdout).toContain(
      'cli@example.org is on the list.',
    );
    expect((await cli('show', 'cli@example.org')).stdout).toContain('"reason": "by hand"');
    expect((await cli('list')).stdout).toContain('cli@example.org,manual,by hand');
    expect((await cli('remove', 'cli@example.org')).stdout).toContain('is off the list');
    expect((await cli('add', 'nobody')).code).not.toBe(0);
  });
});
