import { SmtpPeer, waitFor } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call } from '../../support/http.js';
import { arrival, type Relay, startRelay } from '../../support/relay.js';
import { eventTypes, recipients, states, submit } from '../../support/track.js';

let peer: SmtpPeer;
let elsewhere: SmtpPeer;
let relay: Relay;
beforeAll(async () => {
  peer = await SmtpPeer.start();
  elsewhere = await SmtpPeer.start();
  const other = `smtp://127.0.0.1:${elsewhere.port}`;
  relay = await startRelay({
    config: {
      routes: [
        { match: 'never.test', to: other, tls: 'none' },
        { match: '*', to: `smtp://127.0.0.1:${peer.port}`, tls: 'none' },
      ],
      rules: [
        { name: 'dear', when: { recipient: 'vip@example.org' }, do: { add_header: { name: 'X-For', value: 'vip' } } },
        {
          name: 'no-exe',
          when: { attachment: { name: '\\.(exe|scr)$' } },
          do: { reject: 'Programs are not taken here' },
        },
        {
          name: 'subject',
          when: { all: [{ header: { name: 'Subject', matches: 'geld|money' } }, { not: { sender: '@friend.test' } }] },
          do: [{ score: 3, tag: 'money=yes' }, { add_header: { name: 'X-Score', value: '{score} {symbols}' } }],
        },
        {
          name: 'tagged',
          when: { tag: 'money', score: { at_least: 3 } },
          do: { remove_header: 'X-Secret', stop: true },
        },
        {
          name: 'after-stop',
          when: { header: { name: 'X-Secret' } },
          do: { add_header: { name: 'X-After', value: '1' } },
        },
        { name: 'archive', when: { sender: 'boss@example.com' }, do: { add_recipient: 'archive@example.net' } },
        { name: 'moved', when: { recipient: 'old@example.org' }, do: { redirect: 'new@example.org' } },
        { name: 'detour', when: { recipient: '@*.detour.test' }, do: { route: other } },
        {
          name: 'bad-list',
          when: { recipient: ['x@bad.test', 'y@bad.test'] },
          do: { reject: { text: 'no', code: 554 } },
        },
        {
          name: 'slow',
          when: { sender: 'often@example.com' },
          do: { limit: { rate: '2/h', per: 'sender', over: 'reject' } },
        },
        { name: 'wait', when: { header: { name: 'X-Hold', equals: 'yes' } }, do: { hold: 'to be looked at' } },
      ],
    },
  });
});
afterAll(async () => {
  await relay?.stop();
  await peer?.stop();
  await elsewhere?.stop();
});

/** Submits with further header fields. */
const withFields = (subject: string, fields: string, sent: Parameters<typeof submit>[2] = {}) =>
  submit(relay, `${subject}\r\n${fields.trim()}`, sent);

describe('rules', () => {
  it('gives recipients that fit a form of their own', async () => {
    await submit(relay, 'two forms', { to: ['vip@example.org', 'b@example.org'] });
    const messages = await waitFor('both', () => {
      const found = peer.messages.filter(({ body }) => body.includes('Subject: two forms\r\n'));
      return found.length === 2 ? found : undefined;
    });
    const of = (address: string) => messages.find(({ rcpts }) => rcpts[0]?.includes(address))?.body.toString();
    expect(of('vip@')).toMatch(/^X-Waypost-Id: \S+\r\nX-For: vip\r\nReceived: /);
    expect(of('b@')).not.toContain('X-For');
  });

  it('refuses by an attachment, and says so', async () => {
    const body =
      'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nhello\r\n--x\r\n' +
      'Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename="=?utf-8?q?a=2Eexe?="\r\n\r\nMZ\r\n--x--\r\n';
    const id = await submit(relay, `exe\r\n${body.slice(0, body.indexOf('\r\n\r\n'))}`, {
      body: body.slice(body.indexOf('\r\n\r\n') + 4),
    });
    const [one] = await states(relay, id, 'rejected');
    expect(one?.last_response).toMatchObject({ code: 550, enhanced: '5.7.1', text: 'Programs are not taken here' });
  });

  it('scores, tags, adds and takes out header fields, and stops', async () => {
    await withFields('easy MONEY', 'X-Secret: 1\r\n 2\r\nX-Kept: 1', { body: `${'x'.repeat(200_000)}\r\n` });
    const { body } = await arrival(peer, 'easy MONEY');
    const text = body.toString();
    expect(text).toContain('X-Score: 3.00 RULE_SUBJECT(3.00)\r\n');
    expect(text).toContain('Subject: easy MONEY\r\nX-Kept: 1\r\n\r\nxxx');
    expect(text).not.toContain('X-After');
    await withFields('money from a friend', 'X-Secret: 1', { from: 'a@friend.test' });
    const other = (await arrival(peer, 'money from a friend')).body.toString();
    expect(other).toContain('X-Secret: 1\r\n');
    expect(other).toContain('X-After: 1\r\n');
    expect(other).not.toContain('X-Score');
  });

  it('adds a recipient whom nobody sees', async () => {
    const id = await submit(relay, 'for the archive', { from: 'boss@example.com' });
    await states(relay, id, 'delivered');
    await waitFor('the copy', () => peer.messages.find(({ rcpts }) => rcpts.some((one) => one.includes('archive@'))));
    expect(await recipients(relay, id)).toHaveLength(1);
    const record = await waitFor('the end', async () => {
      const { body } = await call(relay.waypost.api, `/admin/v1/messages/${id}`);
      return body.stage === 'done' ? body : undefined;
    });
    expect(record.recipients.map(({ state }: { state: string }) => state)).toEqual(['delivered', 'delivered']);
  });

  it('redirects, and names whom it was sent to', async () => {
    const id = await submit(relay, 'redirected', { to: ['old@example.org', 'b@example.org'] });
    await states(relay, id, 'delivered', 'delivered');
    const found = peer.messages.filter(({ body }) => body.includes('Subject: redirected\r\n'));
    expect(found.flatMap(({ rcpts }) => rcpts).join()).toMatch(/new@example\.org/);
    expect(found.flatMap(({ rcpts }) => rcpts).join()).not.toMatch(/TO:<old@/);
  });

  it('takes another route for those that fit', async () => {
    await submit(relay, 'detour', { to: ['b@a.detour.test', 'b@example.org'] });
    const there = await arrival(elsewhere, 'detour');
    const here = await arrival(peer, 'detour');
    expect([there.rcpts.join(), here.rcpts.join()]).toEqual([
      expect.stringContaining('b@a.detour.test'),
      expect.stringContaining('b@example.org'),
    ]);
  });

  it('refuses single recipients', async () => {
    const id = await submit(relay, 'some bad', { to: ['x@bad.test', 'ok@bad.test', 'Y@BAD.test'] });
    const list = await states(relay, id, 'rejected', 'delivered', 'rejected');
    expect(list[0]?.last_response).toMatchObject({ code: 554, text: 'no' });
  });

  it('limits', async () => {
    const from = 'often@example.com';
    const ids = [];
    for (const n of [1, 2, 3]) ids.push(await submit(relay, `often ${n}`, { from, to: `r${n}@example.org` }));
    const ends = [];
    for (const id of ids) {
      ends.push(
        await waitFor(
          'an end',
          async () =>
            (await recipients(relay, id)).find(({ state }) => state !== 'accepted' && state !== 'queued')?.state,
        ),
      );
    }
    expect(ends.sort()).toEqual(['delivered', 'delivered', 'rejected']);
  });

  it('holds', async () => {
    const id = await withFields('held', 'X-Hold: Yes');
    await states(relay, id, 'held');
    expect(await eventTypes(relay, id)).toEqual(['Reception', 'Held']);
  });
});
