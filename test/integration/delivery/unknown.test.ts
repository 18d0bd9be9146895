import { resolve } from 'node:path';
import { run } from '@waypost/testkit';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { call } from '../../support/http.js';
import { arrival, type Relay, startRelay } from '../../support/relay.js';
import { dsnOf, eventTypes, states, submit } from '../../support/track.js';

const MAIN = resolve(import.meta.dirname, '../../../services/waypost/dist/main.js');

let relay: Relay;
/** Whether the next hop cuts connections after the final dot, and puts off those whose address says so. */
let dropping = true;
let late = true;
beforeAll(async () => {
  relay = await startRelay({
    listeners: [{ name: 'trusted' }, { name: 'blue', tenant: 'blue' }, { name: 'red', tenant: 'red' }],
    peer: {
      script: (phase, line) => {
        if (phase === 'rcpt' && late && line.includes('<late')) return '450 4.2.1 later';
        return phase === 'dot' && dropping ? 'drop' : undefined;
      },
    },
    config: {
      delivery: {
        unknown_outcome: { default: 'bounce', tenants: { blue: 'hold', red: 'retry' } },
        retry: { initial: '500ms', jitter: 0 },
      },
      shaping: [
        { match: 'bank.example', unknown_outcome: 'hold' },
        { match: 'short.example', unknown_outcome: 'hold', max_age: '3s' },
      ],
    },
  });
});
afterAll(() => relay?.stop());
beforeEach(() => {
  dropping = true;
  late = true;
});

const admin = (path: string, body?: unknown) =>
  call(relay.waypost.api, `/admin/v1${path}`, body === undefined ? {} : { body });
const waiting = async () =>
  ((await admin('/queue?status=unknown')).body.data as { id: string; status: string }[]).map(({ id }) => id);
const order = async (action: string, what: object, more = {}) =>
  (await admin('/queue/actions', { action, ...what, ...more })).body;
const why = async (id: string) => (await admin(`/messages/${id}/why`)).body.waiting;
const tries = () => relay.peer.commands.filter((line) => line === 'DATA').length;

/** Sends for a tenant, up to the end of a connection that leaves it open what became of it. */
async function held(to: string | string[], listener = 'blue', expected: readonly string[] = ['unknown']) {
  const id = await submit(relay, `for ${[to].flat()[0]}`, { to, listener });
  await states(relay, id, ...expected);
  return id;
}

describe('an unknown outcome', () => {
  it('is a bounce where that is the rule, and the sender hears of it', async () => {
    const id = await submit(relay, 'given up', { to: 'b@example.org' });
    await states(relay, id, 'bounced');
    dropping = false;
    const { status } = await dsnOf(relay.peer, id);
    expect(status[1]).toMatchObject({ 'final-recipient': 'rfc822; b@example.org', action: 'failed' });
  });

  it('is tried again for the tenant who wants that', async () => {
    const id = await submit(relay, 'tried again', { to: 'b@example.org', listener: 'red' });
    await states(relay, id, 'deferred');
    dropping = false;
    await states(relay, id, 'delivered');
    await arrival(relay.peer, 'tried again');
  });

  it('waits for an operator for the tenant who wants neither: it says so, and is not sent again', async () => {
    const before = tries();
    const id = await held('b@example.org');
    dropping = false;
    expect(await waiting()).toEqual([id]);
    expect(await why(id)).toMatchObject([
      { kind: 'unknown', recipients: ['b@example.org'], text: expect.stringContaining('it may have arrived') },
    ]);
    expect(await eventTypes(relay, id)).toContain('OutcomeUnknown');
    expect(await relay.waypost.metric('waypost_outcome_unknown_total{policy="hold"}')).toBe(1);
    // An order about all deferred mail does not mean it.
    await order('retry', { match: { tenant: 'blue' } });
    dropping = false;
    await states(relay, await submit(relay, 'after it', { listener: 'blue' }), 'delivered');
    await states(relay, id, 'unknown');
    expect(tries()).toBe(before + 2);
    expect(
      await order('settle', { match: { status: 'unknown', tenant: 'blue' } }, { reason: 'asked them' }),
    ).toMatchObject({
      changed: 1,
    });
    const [one] = await states(relay, id, 'delivered');
    expect(one?.last_response?.text).toBe('Settled as delivered by the operator: asked them');
    expect(await waiting()).toEqual([]);
    expect(await why(id)).toEqual([]);
    expect(tries()).toBe(before + 2);
  });

  it('is sent again where the operator says so, of a message or of all that wait', async () => {
    const [one, two] = [await held('one@example.org'), await held('two@example.org')];
    dropping = false;
    expect(await order('retry', { ids: [one] })).toMatchObject({ changed: 1 });
    await states(relay, one, 'delivered');
    await states(relay, two, 'unknown');
    expect(await order('retry', { match: { status: 'unknown' } }, { dry_run: true })).toMatchObject({ changed: 1 });
    expect(await order('retry', { match: { status: 'unknown' } })).toMatchObject({ changed: 1 });
    await states(relay, two, 'delivered');
    await arrival(relay.peer, 'for two@example.org');
    expect(await waiting()).toEqual([]);
  });

  it('is a bounce where the operator says so, by the command line too', async () => {
    const id = await held('gone@example.org');
    dropping = false;
    const said = await run(process.execPath, [
      ...[MAIN, 'queue', 'bounce', '--status', 'unknown', '--tenant', 'blue', '--reason', 'never came'],
      ...['--api', relay.waypost.api],
    ]);
    expect(said.stdout).toContain('"changed": 1');
    await states(relay, id, 'bounced');
    expect((await dsnOf(relay.peer, id)).status[1]).toMatchObject({ action: 'failed' });
    expect(await eventTypes(relay, id)).toContain('AdminBounce');
  });

  it('of some recipients keeps no other from being tried, and outlives them', async () => {
    const id = await held(['late@example.org', 'there@example.org'], 'blue', ['deferred', 'unknown']);
    dropping = false;
    late = false;
    await states(relay, id, 'delivered', 'unknown');
    const got = relay.peer.messages.filter(({ body }) => body.includes('Subject: for late@example.org'));
    expect(got.map(({ rcpts }) => rcpts)).toEqual([['RCPT TO:<late@example.org>']]);
    expect(await order('settle', { ids: [id] })).toMatchObject({ changed: 1 });
    await states(relay, id, 'delivered', 'delivered');
    expect(await why(id)).toEqual([]);
  });

  it('goes by the rule for the place before the tenant', async () => {
    const id = await held('b@bank.example', 'red');
    expect(await waiting()).toEqual([id]);
    dropping = false;
    expect(await order('cancel', { match: { status: 'unknown', domain: 'bank.example' } })).toMatchObject({
      changed: 1,
    });
    await states(relay, id, 'canceled');
  });

  it('that nobody settles ends when the message is too old, and its sender hears of it', async () => {
    const id = await held('b@short.example');
    dropping = false;
    const [one] = await states(relay, id, 'expired');
    expect(one?.last_response?.text).toContain('it may have arrived');
    expect((await dsnOf(relay.peer, id)).status[1]).toMatchObject({ action: 'failed', status: '4.4.7' });
    expect(await waiting()).toEqual([]);
    expect(relay.peer.messages.some(({ rcpts }) => rcpts[0]?.includes('short.example'))).toBe(false);
  });
});
