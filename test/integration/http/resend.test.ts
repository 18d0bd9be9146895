import { TEST_KEY, waitFor } from '@waypost/testkit';
import type { Resend } from 'resend';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { arrival, type Relay, startRelay } from '../../support/relay.js';

let relay: Relay;
let resend: Resend;
beforeAll(async () => {
  relay = await startRelay();
  // The SDK reads it when it is loaded.
  process.env.RESEND_BASE_URL = `${relay.waypost.http}/v1`;
  resend = new (await import('resend')).Resend(TEST_KEY);
});
afterAll(() => relay?.stop());

const mail = (subject: string) => ({ from: 'app@example.com', to: ['you@example.org'], subject, text: 'hello' });

it("Resend's SDK sends, with attachments, copies and tags, and reads back", async () => {
  const { data, error } = await resend.emails.send(
    {
      ...mail('sdk'),
      cc: 'cc@example.org',
      replyTo: 'back@example.com',
      headers: { 'X-A': 'b' },
      tags: [{ name: 'a', value: 'b' }],
      attachments: [
        { filename: 'a.txt', content: Buffer.from('attached') },
        {
          filename: 'b.txt',
          content: Buffer.from('inline').toString('base64'),
          contentId: 'b',
          contentType: 'text/plain',
        },
      ],
    },
    { idempotencyKey: 'sdk-1' },
  );
  expect(error).toBeNull();
  await arrival(relay.peer, 'sdk');
  const read = await waitFor('the delivery', async () => {
    const answer = await resend.emails.get(data?.id ?? '');
    return answer.data?.last_event === 'delivered' && answer.data;
  });
  expect(read).toMatchObject({ object: 'email', id: data?.id, subject: 'sdk', to: ['you@example.org'] });
});

it("Resend's SDK sends batches", async () => {
  const { data, error } = await resend.batch.send([mail('sdk batch 1'), mail('sdk batch 2')]);
  expect(error).toBeNull();
  expect(data?.data).toHaveLength(2);
  await arrival(relay.peer, 'sdk batch 1');
  await arrival(relay.peer, 'sdk batch 2');
});

it("Resend's SDK schedules and cancels", async () => {
  const { data } = await resend.emails.send({ ...mail('sdk later'), scheduledAt: 'in 1 hour' });
  const canceled = await resend.emails.cancel(data?.id ?? '');
  expect(canceled).toMatchObject({ error: null, data: { id: data?.id } });
});

it("Resend's SDK shows our errors as its own", async () => {
  const { data, error } = await resend.emails.send({ ...mail('x'), to: ['nobody'] });
  expect(data).toBeNull();
  expect(error).toMatchObject({ name: 'validation_error', message: expect.stringMatching(/to/) });
});
