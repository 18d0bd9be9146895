import { resolve } from 'node:path';
import { run, SmtpPeer, waitFor } from '@waypost/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { call } from '../../support/http.js';
import { arrival, type Relay, startRelay } from '../../support/relay.js';
import { dsnOf, eventTypes, states, submit } from '../../support/track.js';

const MAIN = resolve(import.meta.dirname, '../../../services/waypost/dist/main.js');

let relay: Relay;
/** Whether the next hop puts off those whose address says so. */
let late = true;
beforeAll(async () => {
  relay = await startRelay({
    peer: {
      script: (phase, line) =>
        late && phase === 'rcpt' && line.includes('late') ? '450 4.2.1 busy, later' : undefined,
    },
    config: { delivery: { retry: { initial: '1h', jitter: 0 } } },
  });
});
afterAll(() => relay?.stop());
afterEach(() => {
  late = true;
});

const admin = (path: string, body?: unknown) =>
  call(relay.waypost.api, `/admin/v1${path}`, body === undefined ? {} : { body });
const action = (name: string, what: object, more = {}) => admin('/queue/actions', { action: name, ...what, ...more });
const lane = () => `smtp:127.0.0.1:${relay.peer.port}`;
const site = () => `site:${lane()}`;
const cli = (...args: string[]) => run(process.execPath, [MAIN, 'queue', ...args, '--api', relay.waypost.api]);

async function deferred(to: string, from?: string): Promise<string> {
  const id = await submit(relay, `for ${to}`, { to, ...(from ? { from } : {}) });
  await states(relay, id, 'deferred');
  return id;
}

describe('why a message waits', () => {
  it('after a refusal for now: what was answered, and when it is tried again', async () => {
    const id = await deferred('late-why@example.org');
    const { waiting } = (await admin(`/messages/${id}/why`)).body;
    expect(waiting).toEqual([
      {
        kind: 'retry',
        recipients: ['late-why@example.org'],
        lane: lane(),
        last_response: { code: 450, enhanced: '4.2.1', text: 'busy, later' },
        text: expect.stringMatching(/^Attempt 1 was answered for now: 450 busy, later\. It is tried again at 20/),
        next_attempt_at: expect.stringMatching(/^20/),
      },
    ]);
    const said = await cli('why', id);
    expect(said.stdout).toContain('late-why@example.org: Attempt 1 was answered for now');
    await action('cancel', { ids: [id] });
  });

  it('in a suspended site: who suspended it, why and until when; after it resumes it goes', async () => {
    const done = await admin('/queue/suspend', { scope: site(), reason: 'they are moving house', for: 3600 });
    expect(done.body.till).toMatch(/^20/);
    const id = await submit(relay, 'into the suspension');
    const [one] = await waitFor('it to wait in the lane', async () => {
      const { waiting } = (await admin(`/messages/${id}/why`)).body;
      return waiting[0]?.kind === 'suspended' ? waiting : undefined;
    });
    expect(one).toMatchObject({ limit: site(), ahead: 0 });
    expect(one.text).toContain('by loopback: they are moving house');
    expect((await admin('/queue/suspensions')).body.data).toMatchObject([{ scope: site(), by: 'loopback' }]);
    expect((await admin('/queue/resume', { scope: site() })).body.resumed).toBe(true);
    await arrival(relay.peer, 'into the suspension');
    await states(relay, id, 'delivered');
    expect((await admin(`/messages/${id}/why`)).body.waiting).toEqual([]);
  });
});

describe('mail of a kind that is suspended', () => {
  it('waits wherever it goes while other mail passes, says so, and goes when it is resumed', async () => {
    const match = { sender: '@loud.example' };
    const { body } = await admin('/queue/suspend', { match, reason: 'too loud' });
    expect(body).toEqual({ scope: expect.stringMatching(/^mail:[0-9a-f]{8}$/), till: null });
    const id = await submit(relay, 'from the loud one', { from: 'app@loud.example' });
    const [one] = await waitFor('it to be put off', async () => {
      const { waiting } = (await admin(`/messages/${id}/why`)).body;
      const jobs = (await admin('/queue?sender=@loud.example&status=deferred')).body.data;
      return waiting[0]?.kind === 'suspended' && jobs.length === 1 ? waiting : undefined;
    });
    expect(one).toMatchObject({ limit: body.scope, text: expect.stringContaining('by loopback: too loud') });
    await states(relay, await submit(relay, 'from a quiet one', { from: 'app@quiet.example' }), 'delivered');
    expect((await admin('/queue/resume', { scope: body.scope })).body).toMatchObject({ resumed: true, recalled: 1 });
    await states(relay, id, 'delivered');
    expect((await admin('/queue/suspensions')).body.data).toEqual([]);
  });

  it('must be named', async () => {
    expect((await admin('/queue/suspend', { match: {}, reason: 'x' })).status).toBe(422);
    expect((await admin('/queue/suspend', { match: { domain: 'a.example' }, scope: site(), reason: 'x' })).status).toBe(
      422,
    );
  });
});

describe('matches', () => {
  it('list and count what fits, and nothing else', async () => {
    const mine = await deferred('late-one@sub.example.net', 'app@shop.example');
    const other = await deferred('late-two@example.org', 'app@other.example');
    const ids = async (query: string) => (await admin(`/queue?${query}`)).body.data.map(({ id }: { id: string }) => id);
    expect(await ids('domain=*.example.net')).toEqual([mine]);
    expect(await ids('sender=@shop.example')).toEqual([mine]);
    expect(await ids(`site=${lane()}&status=deferred`)).toEqual([mine, other]);
    expect(await ids('status=waiting')).toEqual([]);
    expect(await ids('older_than=3600')).toEqual([]);
    expect(await ids('tenant=nobody')).toEqual([]);
    expect((await admin('/queue/count')).body.data).toMatchObject([
      { lane: lane(), under_5m: 2, deferred: 2, total: 2 },
    ]);
    expect((await cli('count')).stdout).toContain(lane());
    await action('cancel', { ids: [mine, other] });
  });

  it('are refused where they name nothing known', async () => {
    expect(await admin('/queue?colour=blue')).toMatchObject({ status: 422 });
    expect(await action('cancel', { match: {} })).toMatchObject({
      status: 422,
      body: { detail: expect.stringContaining('by mistake') },
    });
    expect((await admin('/queue/suspend', { scope: 'everything', reason: 'x' })).status).toBe(422);
    expect((await admin('/messages/none/why')).status).toBe(422);
  });
});

describe('actions', () => {
  it('retry now: what was put off for an hour goes at once', async () => {
    const id = await deferred('late-retry@example.org');
    late = false;
    expect((await action('retry', { match: { domain: 'example.org' } })).body).toMatchObject({
      changed: 1,
      dry_run: false,
    });
    await states(relay, id, 'delivered');
  });

  it('cancel: it is not sent, and nobody is told', async () => {
    const id = await deferred('late-cancel@example.org', 'canceler@example.com');
    expect((await action('cancel', { ids: [id] }, { dry_run: true })).body).toMatchObject({
      changed: 1,
      dry_run: true,
    });
    await states(relay, id, 'deferred');
    expect((await action('cancel', { ids: [id] })).body.changed).toBe(1);
    await states(relay, id, 'canceled');
    expect((await action('cancel', { ids: [id] })).body.changed).toBe(0);
    expect(await eventTypes(relay, id)).toContain('Cancellation');
  });

  it('bounce: it ends, and its sender hears of it', async () => {
    const id = await deferred('late-bounce@example.org', 'teller@example.com');
    expect((await action('bounce', { ids: [id] }, { reason: 'this site is gone' })).body.changed).toBe(1);
    const [only] = await states(relay, id, 'bounced');
    expect(only?.last_response).toMatchObject({ code: 550, text: 'this site is gone' });
    const { status } = await dsnOf(relay.peer, id);
    expect(status[1]).toMatchObject({ action: 'failed', 'final-recipient': 'rfc822; late-bounce@example.org' });
    expect(await eventTypes(relay, id)).toContain('AdminBounce');
  });

  it('re-route: it goes to another next hop, and its trace tells the way', async () => {
    const other = await SmtpPeer.start();
    const id = await deferred('late-other@example.org');
    const to = `smtp://127.0.0.1:${other.port}`;
    expect(await action('reroute', { ids: [id] })).toMatchObject({ status: 422 });
    expect(await action('reroute', { ids: [id] }, { to: 'gopher://x' })).toMatchObject({ status: 422 });
    expect(await action('reroute', { ids: [id] }, { pool: 'nowhere' })).toMatchObject({ status: 422 });
    expect((await action('reroute', { ids: [id] }, { to, reason: 'their host burns' })).body.changed).toBe(1);
    await states(relay, id, 'delivered');
    expect(other.messages.map(({ rcpts }) => rcpts)).toEqual([['RCPT TO:<late-other@example.org>']]);
    const { events } = (await admin(`/messages/${id}/trace`)).body;
    expect(events.map(({ type }: { type: string }) => type)).toEqual([
      ...['Reception', 'Queued', 'TransientFailure', 'Reroute', 'Delivery'],
    ]);
    expect((await cli('trace', id)).stdout).toContain(`from ${lane()} by the operator: their host burns`);
    await other.stop();
  });

  it('leave nothing behind in Redis', async () => {
    await waitFor('the lane to go', async () => ((await admin('/queue/count')).body.data as unknown[]).length === 0);
  });

  it('are in the audit, the newest first', async () => {
    await action('cancel', { match: { domain: 'nowhere.example' } }, { reason: 'only to be seen' });
    const { data } = (await admin('/queue/audit')).body;
    expect(data[0]).toMatchObject({
      action: 'cancel',
      by: 'loopback',
      target: { match: { domain: 'nowhere.example' } },
      reason: 'only to be seen',
      changed: 0,
    });
    expect(data.map(({ action: name }: { action: string }) => name)).toContain('suspend');
    expect((await cli('audit')).stdout).toContain('only to be seen');
  });
});

it('a form of another site cannot make a browser do it', async () => {
  const answer = await fetch(`${relay.waypost.api}/admin/v1/queue/resume`, {
    method: 'POST',
    headers: { 'content-type': 'text/plain' },
    body: JSON.stringify({ scope: site() }),
  });
  expect(answer.status).toBe(422);
});
