import { waitFor } from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arrival, type Relay, startRelay } from '../../support/relay.js';
import { dsnOf, eventTypes, states, submit } from '../../support/track.js';

/** A relay whose next hop refuses `gone@` for good and `late@` for now, and one whose next hop also speaks DSN. */
let relay: Relay;
let speaking: Relay;
const script = (phase: string, line: string) => {
  if (phase !== 'rcpt') return undefined;
  if (line.includes('gone')) return '550-5.1.1 no such user\r\n550 5.1.1 ask postmaster';
  return line.includes('late') ? '450 4.2.0 later' : undefined;
};
beforeAll(async () => {
  const suppressions = { automatic: false };
  const delivery = { retry: { initial: '200ms', factor: 1, jitter: 0.5 }, max_age: '1500ms', delay_dsn_after: '500ms' };
  relay = await startRelay({ peer: { script }, config: { delivery, suppressions } });
  speaking = await startRelay({
    peer: { script, extensions: ['PIPELINING', '8BITMIME', 'DSN'] },
    config: { delivery, suppressions },
  });
});
afterAll(async () => {
  await relay?.stop();
  await speaking?.stop();
});

/** Sends another message afterwards, so that what would have come has come. */
async function noDsn(where: Relay, id: string): Promise<void> {
  await submit(where, `after ${id}`);
  await arrival(where.peer, `after ${id}`);
  const about = where.peer.messages.filter(({ mail, body }) => mail.startsWith('MAIL FROM:<>') && body.includes(id));
  expect(about).toHaveLength(0);
}

describe('a failure', () => {
  it('is told to the sender in the form of RFC 3464, with the header section of the message', async () => {
    const id = await submit(relay, 'failed', {
      to: 'gone@example.org',
      mail: 'ENVID=env+2B1 RET=HDRS',
      rcpt: 'ORCPT=rfc822;Orig+2Bx@example.org',
      body: 'secret body\r\n',
    });
    await states(relay, id, 'bounced');
    const { message, mail, status, returned, returnedType } = await dsnOf(relay.peer, id);
    expect(message.rcpts[0]).toContain('<a@example.com>');
    expect(mail.subject).toBeTruthy();
    expect(mail.text).toContain('gone@example.org');
    expect(mail.text).toContain('no such user');
    expect(mail.headers.get('auto-submitted')).toBe('auto-replied');
    const [about, recipient] = status;
    expect(about).toMatchObject({ 'original-envelope-id': 'env+1', 'reporting-mta': 'dns; relay.test' });
    expect(about?.['arrival-date']).toBeTruthy();
    expect(recipient).toMatchObject({
      'final-recipient': 'rfc822; gone@example.org',
      'original-recipient': 'rfc822; Orig+x@example.org',
      action: 'failed',
      status: '5.1.1',
      'diagnostic-code': expect.stringMatching(/^smtp; ?550 /),
      'remote-mta': expect.stringContaining('127.0.0.1'),
    });
    expect(returnedType).toBe('text/rfc822-headers');
    expect(returned).toContain('Subject: failed');
    expect(returned).not.toContain('secret body');
  });

  it('returns the whole message for RET=FULL', async () => {
    const id = await submit(relay, 'full', { to: 'gone@example.org', mail: 'RET=FULL', body: 'whole body\r\n' });
    const { returned, returnedType } = await dsnOf(relay.peer, id);
    expect(returnedType).toBe('message/rfc822');
    expect(returned).toContain('whole body');
  });

  it.each([
    ['a null reverse-path', { from: '' }],
    ['NOTIFY=NEVER', { rcpt: 'NOTIFY=NEVER' }],
    ['NOTIFY=SUCCESS', { rcpt: 'NOTIFY=SUCCESS' }],
  ])('is not told with %s', async (_, sent) => {
    const id = await submit(relay, 'silent', { to: 'gone@example.org', ...sent });
    await states(relay, id, 'bounced');
    await noDsn(relay, id);
  });

  it('of a DSN itself is told to nobody', async () => {
    // The sender's own address fails, so that the DSN about the first failure bounces too.
    const id = await submit(relay, 'double', { from: 'gone-sender@example.com', to: 'gone@example.org' });
    await states(relay, id, 'bounced');
    await noDsn(relay, id);
    const mailed = relay.peer.commands.filter((line) => line.startsWith('RCPT TO:<gone-sender@'));
    expect(mailed).toHaveLength(1);
  });
});

describe('a delay and the end of it', () => {
  it('are told once each; an expired message says 4.4.7 and what was answered last', async () => {
    const id = await submit(relay, 'slow', { to: 'late@example.org' });
    const [only] = await states(relay, id, 'expired');
    expect(only?.attempts).toBeGreaterThan(2);
    const about = () =>
      relay.peer.messages.filter(({ mail, body }) => mail.startsWith('MAIL FROM:<>') && body.includes(id));
    await waitFor('both DSNs', () => about().length >= 2);
    const bodies = about().map(({ body }) => body.toString());
    expect(bodies.filter((body) => /^Action: delayed/m.test(body))).toHaveLength(1);
    const failed = bodies.filter((body) => /^Action: failed/m.test(body));
    expect(failed).toHaveLength(1);
    expect(failed[0]).toMatch(/^Status: [45]\.4\.7/m);
    expect(failed[0]).toContain('later');
    expect(await eventTypes(relay, id)).toContain('Expiration');
  });

  it('are not told where only failures are wanted', async () => {
    const id = await submit(relay, 'patient', { to: 'late@example.org', rcpt: 'NOTIFY=FAILURE' });
    await states(relay, id, 'expired');
    const { status } = await dsnOf(relay.peer, id);
    expect(status[1]?.action).toBe('failed');
  });
});

describe('a success', () => {
  it('is told as relayed where the next hop does not speak DSN', async () => {
    const id = await submit(relay, 'relayed', { rcpt: 'NOTIFY=SUCCESS' });
    const { status } = await dsnOf(relay.peer, id);
    expect(status[1]).toMatchObject({ action: 'relayed', 'final-recipient': 'rfc822; b@example.org' });
  });

  it('is left to the next hop where it speaks DSN', async () => {
    const id = await submit(speaking, 'passed on', { rcpt: 'NOTIFY=SUCCESS' });
    await states(speaking, id, 'delivered');
    const message = await arrival(speaking.peer, 'passed on');
    expect(message.rcpts[0]).toMatch(/NOTIFY=SUCCESS/);
    await noDsn(speaking, id);
  });

  it('is not told unasked', async () => {
    const id = await submit(relay, 'unasked');
    await states(relay, id, 'delivered');
    await noDsn(relay, id);
  });
});
