import { waitFor } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CallOptions, call, email } from '../../support/http.js';
import { arrival, type Relay, startRelay } from '../../support/relay.js';

let relay: Relay;
const api = (path: string, options?: CallOptions) => call(relay.waypost.http, path, options);
beforeAll(async () => {
  relay = await startRelay();
});
afterAll(() => relay?.stop());

const arrived = (subject: string) => relay.peer.messages.filter(({ body }) => body.includes(`Subject: ${subject}\r\n`));

describe('scheduled_at', () => {
  it('holds a message until its time, in ISO 8601 or in words', async () => {
    const soon = new Date(Date.now() + 1500).toISOString();
    const { body } = await api('/v1/emails', { body: email('in a moment', { scheduled_at: soon }) });
    expect((await api(`/v1/emails/${body.id}`)).body).toMatchObject({ last_event: 'scheduled', scheduled_at: soon });
    expect(arrived('in a moment')).toHaveLength(0);
    await arrival(relay.peer, 'in a moment');
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(soon));
    const words = await api('/v1/emails', { body: email('later', { scheduled_at: 'in 5 minutes' }) });
    const at = Date.parse((await api(`/v1/emails/${words.body.id}`)).body.scheduled_at);
    expect(Math.round((at - Date.now()) / 60_000)).toBe(5);
  });

  it('can be canceled before, and not after', async () => {
    const later = new Date(Date.now() + 3_600_000).toISOString();
    const { body } = await api('/v1/emails', { body: email('canceled', { scheduled_at: later }) });
    const cancel = await api(`/v1/emails/${body.id}/cancel`, { method: 'POST' });
    expect(cancel).toMatchObject({ status: 200, body: { object: 'email', id: body.id } });
    expect((await api(`/v1/emails/${body.id}`)).body).toMatchObject({
      last_event: 'canceled',
      recipients: [{ state: 'canceled' }],
    });
    const sent = await api('/v1/emails', { body: email('gone') });
    await arrival(relay.peer, 'gone');
    const late = await api(`/v1/emails/${sent.body.id}/cancel`, { method: 'POST' });
    expect(late).toMatchObject({ status: 409, body: { name: 'already_sent' } });
  });
});

describe('Idempotency-Key', () => {
  const once = (key: string, body: unknown) => api('/v1/emails', { body, headers: { 'idempotency-key': key } });

  it('answers the same again and sends once', async () => {
    const first = await once('replayed', email('once'));
    const second = await once('replayed', email('once'));
    expect(second.body).toEqual(first.body);
    expect(second.headers.get('idempotency-replayed')).toBe('true');
    await arrival(relay.peer, 'once');
    await api('/v1/emails', { body: email('after once') });
    await arrival(relay.peer, 'after once');
    expect(arrived('once')).toHaveLength(1);
  });

  it('answers 409 to the same key with another body', async () => {
    await once('other', email('this'));
    expect(await once('other', email('that'))).toMatchObject({
      status: 409,
      body: { name: 'invalid_idempotent_request' },
    });
  });

  it('lets one of several at once through', async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => once('race', email('raced'))));
    const ids = new Set(answers.filter(({ status }) => status === 200).map(({ body }) => body.id));
    expect(ids.size).toBe(1);
    for (const { status } of answers) expect([200, 409]).toContain(status);
    await arrival(relay.peer, 'raced');
    expect(arrived('raced')).toHaveLength(1);
  });

  it('may be used again after a refusal', async () => {
    expect((await once('mended', email('x', { to: 'nobody' }))).status).toBe(422);
    expect((await once('mended', email('mended'))).status).toBe(200);
  });

  it('outlives the process', async () => {
    const first = await once('restarted', email('restarted'));
    await relay.waypost.kill();
    await relay.waypost.restart();
    expect((await once('restarted', email('restarted'))).body).toEqual(first.body);
    await arrival(relay.peer, 'restarted');
    expect(arrived('restarted')).toHaveLength(1);
  });
});

describe('Redis away', () => {
  it('answers 503 with Retry-After, and everything goes on when it is back', async () => {
    await relay.redis.kill();
    const refused = await waitFor('the refusal', async () => {
      const answer = await api('/v1/emails', { body: email('refused') });
      return answer.status === 503 && answer;
    });
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(refused.body).toMatchObject({ name: 'service_unavailable' });
    expect((await fetch(`http://127.0.0.1:${relay.waypost.metricsPort}/readyz`)).status).toBe(503);
    await relay.redis.restart();
    await waitFor('recovery', async () => (await api('/v1/emails', { body: email('recovered') })).status === 200);
    await arrival(relay.peer, 'recovered');
    expect(arrived('refused')).toHaveLength(0);
  });
});
