import { SmtpPeer, waitFor } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call } from '../../support/http.js';
import { arrival, type Relay, startRelay } from '../../support/relay.js';
import { dsnOf, eventTypes, states, submit } from '../../support/track.js';

let peer: SmtpPeer;
let relay: Relay;
beforeAll(async () => {
  peer = await SmtpPeer.start();
  relay = await startRelay({
    config: {
      routes: [{ match: '*', to: `smtp://127.0.0.1:${peer.port}`, tls: 'none' }],
      rules: [
        { name: 'seen', do: { add_header: { name: 'X-Seen', value: 'once' }, score: 1.5 } },
        { name: 'hold', when: { header: { name: 'Subject', contains: 'hold me' } }, do: { hold: 'suspicious' } },
      ],
    },
  });
});
afterAll(async () => {
  await relay?.stop();
  await peer?.stop();
});

const api = (path: string, body?: unknown) => call(relay.waypost.api, `/admin/v1/held${path}`, { body });
const act = async (order: Record<string, unknown>) => (await api('/actions', order)).body;

async function held(subject: string, sent: Parameters<typeof submit>[2] = {}): Promise<string> {
  const id = await submit(relay, subject.includes('hold me') ? subject : `${subject}, hold me`, sent);
  await states(relay, id, 'held');
  return id;
}

describe('held mail', () => {
  it('is listed with its reason, and shown as text with nothing that runs', async () => {
    const html =
      '<p>Hello <b>you</b></p><script>alert(1)</script><img src="http://tracker.test/x.gif"><style>p{}</style>bye';
    const head = 'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x';
    const body = `--x\r\nContent-Type: text/html\r\n\r\n${html}\r\n--x\r\nContent-Type: application/pdf; name="a\u202Efdp.exe"\r\n\r\nPDF\r\n--x--\r\n`;
    const id = await held(`look, hold me\r\n${head}\r\nX-Note: x`, { from: 'bad@sender.test', body });
    const { body: list } = await api('?sender=@sender.test');
    expect(list.data).toMatchObject([
      {
        id,
        held_by: 'rules',
        reason: 'suspicious',
        sender: 'bad@sender.test',
        recipients: ['b@example.org'],
      },
    ]);
    const { body: shown } = await api(`/${id}`);
    expect(shown.text).toBe('Hello you\nbye');
    expect(shown.attachments).toEqual([{ filename: 'afdp.exe', type: 'application/pdf', size: 3 }]);
    expect(shown.symbols).toEqual(expect.arrayContaining([expect.objectContaining({ name: 'RULE_SEEN', score: 1.5 })]));
    expect(shown.headers.find(({ name }: { name: string }) => name === 'from').value).toBe('bad@sender.test');
    expect(JSON.stringify(shown)).not.toContain('tracker.test');
    expect((await api('/00000000-0000-0000-0000-000000000000')).status).toBe(422);
  });

  it('goes on from behind the check that held it when it is released, with what was done before', async () => {
    const id = await held('released');
    expect(await act({ action: 'release', ids: [id] })).toMatchObject({ changed: 1, left_alone: 0 });
    const { body } = await arrival(peer, 'released, hold me');
    expect(body.toString().match(/X-Seen: once/g)).toHaveLength(1);
    expect(body.toString()).toMatch(/^X-Waypost-Id: /);
    await states(relay, id, 'delivered');
    expect(await eventTypes(relay, id)).toEqual(['Reception', 'Held', 'Released', 'Queued', 'Delivery']);
    expect(await act({ action: 'release', ids: [id] })).toMatchObject({ changed: 0, left_alone: 1 });
    expect((await api('')).body.data.map((one: { id: string }) => one.id)).not.toContain(id);
  });

  it('is deleted without a word, and refused with one', async () => {
    const [gone, refused] = [await held('gone'), await held('refused')];
    expect(await act({ action: 'delete', ids: [gone] })).toMatchObject({ changed: 1 });
    await states(relay, gone, 'canceled');
    expect(await act({ action: 'reject', ids: [refused], reason: 'Not wanted' })).toMatchObject({ changed: 1 });
    const [one] = await states(relay, refused, 'rejected');
    expect(one?.last_response).toMatchObject({ code: 550, text: 'Not wanted' });
    expect((await dsnOf(peer, refused)).status[1]).toMatchObject({ action: 'failed' });
    expect(peer.messages.some(({ body }) => body.includes(gone))).toBe(false);
  });

  it('is decided on in bulk by what fits, tried first without effect, and once only', async () => {
    const ids = [];
    for (const n of [1, 2, 3]) ids.push(await held(`bulk ${n}`, { from: 'bulk@many.test' }));
    const order = { action: 'release', match: { sender: '@many.test', by: 'rules' } };
    expect(await act({ ...order, dry_run: true })).toMatchObject({ changed: 3 });
    await states(relay, ids[0] as string, 'held');
    const both = await Promise.all([act(order), act(order)]);
    expect(both.reduce((sum, { changed }) => sum + changed, 0)).toBe(3);
    for (const id of ids) await states(relay, id, 'delivered');
    for (const n of [1, 2, 3]) {
      const copies = peer.messages.filter(({ body }) => body.includes(`Subject: bulk ${n},`));
      expect(copies).toHaveLength(1);
    }
    expect((await act({ action: 'delete', match: {} })).detail).toMatch(/name something/);
    const { body } = await call(relay.waypost.api, '/admin/v1/queue/audit');
    expect(body.data).toEqual(
      expect.arrayContaining([expect.objectContaining({ action: 'held release', target: { match: order.match } })]),
    );
  });

  it('is held again after a kill, and its rewriting is not lost', async () => {
    const id = await held('killed');
    await relay.waypost.kill();
    await relay.waypost.restart();
    await states(relay, id, 'held');
    await act({ action: 'release', ids: [id] });
    await states(relay, id, 'delivered');
  });
});

describe('the time of held mail', () => {
  it('ends, and its sender hears of it', async () => {
    const short = await startRelay({
      config: {
        delivery: { max_age: '20s' },
        rules: [{ name: 'hold', when: { header: { name: 'Subject' } }, do: { hold: { reason: 'x', for: '1s' } } }],
      },
    });
    try {
      const id = await submit(short, 'short');
      await states(short, id, 'held');
      await waitFor('its end', async () => (await states(short, id, 'expired')).length === 1, 90_000);
      expect(await eventTypes(short, id)).toEqual(['Reception', 'Held', 'Expiration']);
    } finally {
      await short.stop();
    }
  }, 120_000);
});
