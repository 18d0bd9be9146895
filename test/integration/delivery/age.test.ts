import { waitFor } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call } from '../../support/http.js';
import { arrival, type Relay, startRelay } from '../../support/relay.js';
import { states, submit } from '../../support/track.js';

/** How often each recipient was tried. */
const tries = new Map<string, number>();

function script(phase: string, line: string): string | undefined {
  if (phase !== 'rcpt') return undefined;
  const count = (tries.get(line) ?? 0) + 1;
  tries.set(line, count);
  if (line.includes('grey') && count <= 2) return '451 4.7.1 Greylisting in action, please come back later';
  if (line.includes('busy')) return '450 4.2.1 mailbox busy';
  return line.includes('once') && count === 1 ? '450 4.2.1 mailbox busy' : undefined;
}

const admin = (relay: Relay, path: string, body?: unknown) =>
  call(relay.waypost.api, `/admin/v1${path}`, body === undefined ? {} : { body });

describe('greylisting', () => {
  let relay: Relay;
  beforeAll(async () => {
    const retry = { initial: '1h', jitter: 0, greylist: ['100ms', '200ms'] };
    relay = await startRelay({ peer: { script }, config: { delivery: { retry } } });
  });
  afterAll(() => relay?.stop());

  it('is answered by coming again soon, as often as its schedule says', async () => {
    const id = await submit(relay, 'grey', { to: 'grey@example.org' });
    await states(relay, id, 'delivered');
    expect(tries.get('RCPT TO:<grey@example.org>')).toBe(3);
  });

  it('does not hurry what is put off for other reasons', async () => {
    const id = await submit(relay, 'busy', { to: 'busy@example.org' });
    await states(relay, id, 'deferred');
    const { waiting } = (await admin(relay, `/messages/${id}/why`)).body;
    expect(Date.parse(waiting[0].next_attempt_at) - Date.now()).toBeGreaterThan(3_000_000);
  });
});

describe('the age of a message', () => {
  let relay: Relay;
  beforeAll(async () => {
    const retry = { initial: '200ms', factor: 1, jitter: 0 };
    relay = await startRelay({
      peer: { script },
      config: { delivery: { retry, max_age: '2500ms', delay_dsn_after: 0 } },
    });
  });
  afterAll(() => relay?.stop());

  it('counts from when it is to be sent', async () => {
    const { status, body } = await call(relay.waypost.http, '/v1/emails', {
      body: {
        from: 'a@example.com',
        to: 'once@example.org',
        subject: 'scheduled',
        text: 'hello',
        scheduled_at: new Date(Date.now() + 3_000).toISOString(),
      },
    });
    expect(status).toBe(200);
    await states(relay, body.id, 'delivered');
    expect(tries.get('RCPT TO:<once@example.org>')).toBe(2);
  });

  it('ends what an operator has suspended, which does not go after all', async () => {
    await admin(relay, '/queue/suspend', { match: { domain: 'stopped.test' }, reason: 'not to be sent' });
    const id = await submit(relay, 'stopped', { from: '', to: 'b@stopped.test' });
    const [only] = await states(relay, id, 'expired');
    expect(only?.last_response?.text).toContain('not to be sent');
    await submit(relay, 'another');
    await arrival(relay.peer, 'another');
    expect(relay.peer.commands.some((line) => line.includes('stopped.test'))).toBe(false);
    await waitFor(
      'no job to be left',
      async () => (await admin(relay, '/queue?domain=stopped.test')).body.data.length === 0,
    );
  });
});
