import { waitFor } from '@waypost/testkit';
import { simpleParser } from 'mailparser';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CallOptions, call, email } from '../../support/http.js';
import { arrival, type Relay, startRelay } from '../../support/relay.js';

let relay: Relay;
const api = (path: string, options?: CallOptions) => call(relay.waypost.http, path, options);
beforeAll(async () => {
  relay = await startRelay({
    config: { http: { body_limit: '3MiB' }, limits: { message_size: '2MiB', recipients: 10 } },
  });
});
afterAll(() => relay?.stop());

/** Sends an email and reads back what came of it. */
async function through(input: ReturnType<typeof email>) {
  const { status, body } = await api('/v1/emails', { body: input });
  expect({ status, body }).toMatchObject({ status: 200, body: { id: expect.stringMatching(/^[0-9a-f-]{36}$/) } });
  const id = body.id as string;
  const message = await waitFor('the message', () => relay.peer.messages.find(({ body }) => body.includes(id)));
  return { id, message, mail: await simpleParser(message.body) };
}

describe('POST /v1/emails', () => {
  it('sends text and HTML with names, copies and reply address; blind copies stay in the envelope', async () => {
    const { id, message, mail } = await through(
      email('Gr\u00fc\u00dfe \u{1f44b}', {
        from: 'Z\u00f6e, "App" <app@example.com>',
        to: ['One <one@example.org>', 'two@example.org'],
        cc: 'three@example.org',
        bcc: ['four@example.org'],
        reply_to: 'answers@example.com',
        html: '<p>caf\u00e9</p>',
        text: 'caf\u00e9\n.\n.dot',
        headers: { 'X-Kind': 'test', 'List-Unsubscribe': '<https://example.com/u>' },
        tags: [{ name: 'kind', value: 'greeting' }],
      }),
    );
    expect(message.mail).toMatch(/^MAIL FROM:<app@example.com>/);
    expect(message.rcpts.map((line) => /<(.*)>/.exec(line)?.[1])).toEqual([
      'one@example.org',
      'two@example.org',
      'three@example.org',
      'four@example.org',
    ]);
    expect(mail.subject).toBe('Gr\u00fc\u00dfe \u{1f44b}');
    expect(mail.from?.value[0]).toMatchObject({ address: 'app@example.com' });
    expect(mail.text?.trimEnd()).toBe('caf\u00e9\n.\n.dot');
    expect(mail.html).toContain('caf\u00e9');
    expect(mail.replyTo?.text).toBe('answers@example.com');
    expect(mail.headers.get('x-kind')).toBe('test');
    expect(mail.messageId).toBe(`<${id}@relay.test>`);
    expect(message.body.toString()).not.toContain('four@example.org');
    expect(message.body.toString()).toMatch(/^Received: .*\r\n\tby relay\.test \(Waypost\) with HTTP id/m);
  });

  it('attaches files and shows images inline', async () => {
    const image = Buffer.from('89504e470d0a1a0a', 'hex');
    const { mail } = await through(
      email('attached', {
        html: '<img src="cid:logo">',
        attachments: [
          { filename: 'na\u00efve r\u00e9sum\u00e9.txt', content: Buffer.from('a\r\nb\n.\nc').toString('base64') },
          { filename: 'logo.png', content: image.toString('base64'), content_id: 'logo', content_type: 'image/png' },
        ],
      }),
    );
    expect(mail.attachments).toHaveLength(2);
    const [text, logo] = [false, true].map((related) =>
      mail.attachments.find((one) => Boolean(one.related) === related),
    );
    expect(text?.filename).toBe('na\u00efve r\u00e9sum\u00e9.txt');
    expect(text?.content.toString()).toBe('a\r\nb\n.\nc');
    expect(logo).toMatchObject({ cid: 'logo', related: true, contentType: 'image/png' });
    expect(logo?.content.equals(image)).toBe(true);
  });

  it.each([
    ['in the subject', { subject: 'x\r\nBcc: victim@example.org' }],
    ['in a header value', { headers: { 'X-A': 'x\r\nBcc: victim@example.org' } }],
    ['in a file name', { attachments: [{ filename: 'x"\r\nBcc: victim@example.org', content: 'eA==' }] }],
    ['in a display name', { from: '"x\r\nBcc: victim@example.org" <app@example.com>' }],
  ])('lets no line end through %s', async (where, more) => {
    const answer = await api('/v1/emails', { body: email(`injection ${where}`, more) });
    if (answer.status === 422) return;
    const id = answer.body.id as string;
    const message = await waitFor('the message', () => relay.peer.messages.find(({ body }) => body.includes(id)));
    expect(message.body.toString()).not.toMatch(/^Bcc:/im);
    expect(message.rcpts).toHaveLength(1);
  });
});

describe('what is refused', () => {
  it.each<[string, unknown, number, RegExp]>([
    ['no sender', { ...email('x'), from: undefined }, 422, /from/],
    ['a bad sender', email('x', { from: 'nobody' }), 422, /from/],
    ['a bad recipient', email('x', { to: ['you@example.org', 'b@@example.org'] }), 422, /to/],
    ['no recipient', email('x', { to: [] }), 422, /to/],
    [
      'too many recipients',
      email('x', { to: Array.from({ length: 11 }, (_, i) => `r${i}@example.org`) }),
      422,
      /11 recip/,
    ],
    ['an unknown field', email('x', { subjekt: 'y' }), 422, /subjekt/],
    ['no content', { ...email('x'), text: undefined }, 422, /text|html/],
    ['bad base64', email('x', { attachments: [{ filename: 'a', content: '%%%' }] }), 422, /attachments\.0/],
    ['a remote file', email('x', { attachments: [{ path: 'http://127.0.0.1/' }] }), 422, /path/],
    ['a bad time', email('x', { scheduled_at: 'some day' }), 422, /scheduled_at/],
    ['a header name with a space', email('x', { headers: { 'X Y': 'z' } }), 422, /headers/],
    ['a list', [email('x')], 422, /./],
    ['broken JSON', '{"from":', 400, /JSON/i],
    ['too large a body', email('x', { text: 'x'.repeat(3_200_000) }), 413, /larger|large/i],
    ['too large a message', email('x', { text: 'x\n'.repeat(1_100_000) }), 413, /octets/],
  ])('%s', async (_, body, status, detail) => {
    const answer = await api('/v1/emails', { body });
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(answer.body).toMatchObject({
      status,
      statusCode: status,
      title: expect.any(String),
      name: expect.any(String),
    });
    expect(answer.body.detail).toMatch(detail);
    expect(answer.body.message).toBe(answer.body.detail);
  });

  it('names every field that is wrong', async () => {
    const { body } = await api('/v1/emails', {
      body: { from: 1, to: 'x@example.org', subject: 'x', text: 'x', extra: 1 },
    });
    expect(body.errors.map(({ path }: { path: string }) => path)).toContain('from');
    expect(JSON.stringify(body.errors)).toContain('extra');
  });

  it.each<[string, string, CallOptions, number]>([
    ['another content type', '/v1/emails', { body: 'x', headers: { 'content-type': 'text/plain' } }, 415],
    ['an unknown path', '/v1/nothing', {}, 404],
    ['another method', '/v1/emails', { method: 'DELETE' }, 405],
    ['an unknown id', '/v1/emails/01a20938-1b20-7fa3-b74d-5dabdefe39d6', {}, 404],
    ['what is no id', '/v1/emails/..%2f..%2fetc', {}, 404],
  ])('%s', async (_, path, options, status) => {
    const answer = await api(path, options);
    expect(answer.status).toBe(status);
    expect(answer.body).toMatchObject({ status, name: expect.any(String), message: expect.any(String) });
  });
});

describe('POST /v1/emails/batch', () => {
  it('takes all or none', async () => {
    const good = await api('/v1/emails/batch', { body: [email('batch one'), email('batch two')] });
    expect(good.status).toBe(200);
    expect(good.body.data).toHaveLength(2);
    await arrival(relay.peer, 'batch one');
    await arrival(relay.peer, 'batch two');
    const bad = await api('/v1/emails/batch', { body: [email('batch three'), email('x', { to: 'nobody' })] });
    expect(bad.status).toBe(422);
    expect(bad.body.detail).toMatch(/emails\.1|1\./);
    const many = await api('/v1/emails/batch', { body: Array.from({ length: 101 }, () => email('x')) });
    expect(many.status).toBe(422);
    expect((await api('/v1/emails/batch', { body: [] })).status).toBe(422);
  });

  it('sends what is right and names what is wrong where it is permissive', async () => {
    const body = [email('permissive one'), email('x', { to: 'nobody' }), email('permissive two')];
    const answer = await api('/v1/emails/batch', { body, headers: { 'x-batch-validation': 'permissive' } });
    expect(answer.status).toBe(200);
    expect(answer.body.data).toHaveLength(2);
    expect(answer.body.errors).toEqual([{ index: 1, message: expect.stringMatching(/to/) }]);
    await arrival(relay.peer, 'permissive one');
    await arrival(relay.peer, 'permissive two');
  });
});

describe('POST /v1/emails/raw', () => {
  const mime = (subject: string) => Buffer.from(`Subject: ${subject}\r\nBcc: x@example.org\r\n\r\n.\xe4\r\n`, 'latin1');

  it('takes message/rfc822 with the envelope in the query', async () => {
    const path = '/v1/emails/raw?from=app@example.com&to=one@example.org&to=two@example.org';
    const answer = await api(path, { body: mime('raw mime'), headers: { 'content-type': 'message/rfc822' } });
    expect(answer.status).toBe(200);
    const message = await arrival(relay.peer, 'raw mime');
    expect(message.rcpts).toHaveLength(2);
    expect(message.body.toString('latin1')).toMatch(/\r\nSubject: raw mime\r\n\r\n\.\xe4\r\n$/);
  });

  it('takes JSON with base64, and the null reverse-path', async () => {
    const body = { from: '', to: 'you@example.org', raw: mime('raw json').toString('base64') };
    expect((await api('/v1/emails/raw', { body })).status).toBe(200);
    expect((await arrival(relay.peer, 'raw json')).mail).toMatch(/^MAIL FROM:<>/);
  });

  it('refuses bare line ends and bad base64', async () => {
    const bare = { from: 'app@example.com', to: 'you@example.org', raw: Buffer.from('a\nb').toString('base64') };
    expect(await api('/v1/emails/raw', { body: bare })).toMatchObject({ status: 422 });
    expect(await api('/v1/emails/raw', { body: { ...bare, raw: '!' } })).toMatchObject({ status: 422 });
  });
});

describe('GET', () => {
  it('tells the state of each recipient and what was answered, and the events so far', async () => {
    const { id } = await through(email('told'));
    const done = await waitFor('the record', async () => {
      const answer = await api(`/v1/emails/${id}`);
      return answer.body.last_event === 'delivered' && answer;
    });
    expect(done.body).toMatchObject({
      object: 'email',
      id,
      from: 'App <app@example.com>',
      to: ['you@example.org'],
      subject: 'told',
      recipients: [
        {
          address: 'you@example.org',
          state: 'delivered',
          attempts: 1,
          last_response: { code: 250, enhanced: '2.0.0', text: 'taken' },
          remote: expect.stringContaining('127.0.0.1'),
        },
      ],
    });
    const events = await api(`/v1/emails/${id}/events`);
    expect(events.body.data.map(({ type }: { type: string }) => type)).toEqual(['Reception', 'Queued', 'Delivery']);
  });

  it('serves OpenAPI 3.1 whose references resolve, and a page to read it by', async () => {
    const { body } = await api('/v1/openapi.json');
    expect(body.openapi).toMatch(/^3\.1\./);
    expect(body.servers).toEqual([{ url: '/v1' }]);
    const paths = ['/emails', '/emails/batch', '/emails/raw', '/emails/{id}', '/emails/{id}/events'];
    for (const path of [...paths, '/emails/{id}/cancel']) expect(Object.keys(body.paths)).toContain(path);
    for (const [, name = ''] of JSON.stringify(body).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      expect(body.components.schemas[name]).toBeDefined();
    }
    const page = await api('/docs', { key: '' });
    expect(page.status).toBe(200);
    for (const [, path = ''] of (page.body as string).matchAll(/(?:src|href)="([^"]+)"/g)) {
      expect(await api(path, { key: '' })).toMatchObject({ status: 200 });
    }
  });
});
