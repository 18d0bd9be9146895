import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import {
  freePort,
  SmtpPeer,
  startRedis,
  startWaypost,
  type TestRedis,
  type WaypostProcess,
  waitFor,
} from '@waypost/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call } from '../../support/http.js';
import { greet, sendMessage } from '../../support/relay.js';

const SECRET = '0123456789abcdef0123456789abcdef';
const RULES = [
  {
    name: 'no',
    when: { header: { name: 'Subject', contains: 'refuse' } },
    do: { reject: { text: 'Not here', code: 554 } },
  },
  { name: 'later', when: { header: { name: 'Subject', contains: 'defer' } }, do: { defer: 'not now' } },
  { name: 'hold', when: { header: { name: 'Subject', contains: 'hold' } }, do: { hold: 'to be seen' } },
  { name: 'one', when: { recipient: 'no@example.org' }, do: { reject: 'not him' } },
  { name: 'mark', do: { add_header: { name: 'X-Judged', value: '{id}' }, tag: 'judged=yes', score: 2 } },
];
const MX = { name: 'inbound', kind: 'mx', allow: [], domains: ['example.org'], banner_delay: '0ms', inline: true };

let redis: TestRedis;
const redises: TestRedis[] = [];
let peer: SmtpPeer;
const started: WaypostProcess[] = [];
const servers: Server[] = [];
beforeAll(async () => {
  peer = await SmtpPeer.start();
});

/** Processes that share a Redis share their spool too. */
async function newRedis(): Promise<void> {
  redis = await startRedis();
  redises.push(redis);
}
afterAll(async () => {
  for (const one of started.reverse()) await one.stop();
  for (const one of servers) one.close();
  await peer?.stop();
  for (const one of redises) await one.stop();
});

async function start(config: Record<string, unknown>, services?: string[], dir?: string): Promise<WaypostProcess> {
  const listeners = !services || services.includes('ingress') ? [MX] : [];
  const one = await startWaypost({
    redis: redis.url,
    listeners,
    ...(services ? { services } : {}),
    ...(dir ? { dir } : {}),
    config: { routes: [{ match: '*', to: `smtp://127.0.0.1:${peer.port}`, tls: 'none' }], rules: RULES, ...config },
  });
  started.push(one);
  return one;
}

async function send(
  waypost: WaypostProcess,
  subject: string,
  { to = 'b@example.org', size = 10 } = {},
): Promise<string> {
  const dialog = await greet(waypost.port('inbound'));
  const reply = await sendMessage(
    dialog,
    `Subject: ${subject}\r\n\r\n${`${'x'.repeat(70)}\r\n`.repeat(Math.ceil(size / 72))}`,
    undefined,
    to,
  );
  dialog.close();
  return reply;
}

const idIn = (reply: string) => /queued as (\S+)/.exec(reply)?.[1] ?? '';
const record = async (waypost: WaypostProcess, id: string) =>
  (await call(waypost.api, `/admin/v1/messages/${id}`)).body;

const both = {
  'in one process': async () => start({}),
  'over HTTP': async () => {
    const port = await freePort();
    const inline = { secret: SECRET };
    const policy = await start({ policy: { inline: { ...inline, listen: `127.0.0.1:${port}` } } }, ['policy']);
    const url = `http://127.0.0.1:${port}`;
    expect((await fetch(`${url}/judge`, { method: 'POST', body: 'x' })).status).toBe(401);
    return start({ policy: { inline: { ...inline, url } } }, ['ingress', 'api', 'delivery', 'events'], policy.dir);
  },
};

describe.each(Object.entries(both))('policy in the session, %s', (name, setUp) => {
  let waypost: WaypostProcess;
  beforeAll(async () => {
    await newRedis();
    waypost = await setUp();
  }, 30_000);
  const subject = (text: string) => `${text} ${name}`;

  it('refuses and defers before the message is taken', async () => {
    expect(await send(waypost, subject('refuse'))).toBe('554 5.7.1 Not here');
    expect(await send(waypost, subject('refuse large'), { size: 200_000 })).toBe('554 5.7.1 Not here');
    expect(await send(waypost, subject('defer'))).toMatch(/^451 4\.7\.1 /);
    expect(await redis_keys()).toEqual([]);
  });

  it('judges once: the queue only routes what was taken', async () => {
    const id = idIn(await send(waypost, subject('fine')));
    const message = await waitFor('the message', () =>
      peer.messages.find(({ body }) => body.includes(`Subject: ${subject('fine')}`)),
    );
    expect(message.body.toString().match(/X-Judged: /g)).toHaveLength(1);
    const one = await record(waypost, id);
    expect(one.judged).toMatchObject({ done: expect.arrayContaining(['size', 'rules', 'trace']) });
    expect(one.found).toEqual(expect.arrayContaining([expect.objectContaining({ name: 'RULE_MARK' })]));
  });

  it('takes large messages, judged by their store', async () => {
    const id = idIn(await send(waypost, subject('big'), { size: 300_000 }));
    await waitFor('the message', () => peer.messages.find(({ body }) => body.includes(`X-Judged: ${id}`)));
  });

  it('refuses some recipients without a word to a sender who may be forged', async () => {
    const dialog = await greet(waypost.port('inbound'));
    for (const line of ['MAIL FROM:<a@example.com>', 'RCPT TO:<b@example.org>', 'RCPT TO:<no@example.org>', 'DATA']) {
      await dialog.say(line);
    }
    dialog.write(`Subject: ${subject('two')}\r\n\r\nx\r\n.\r\n`);
    const id = idIn(await dialog.reply());
    dialog.close();
    await waitFor('the end', async () => (await record(waypost, id)).stage === 'done');
    const { recipients } = await record(waypost, id);
    expect(recipients.map(({ state }: { state: string }) => state)).toEqual(['delivered', 'rejected']);
    expect(peer.messages.some(({ mail, body }) => mail.includes('<>') && body.includes(id))).toBe(false);
  });

  it('holds what is to be held', async () => {
    const id = idIn(await send(waypost, subject('hold')));
    await waitFor('it to be held', async () => (await record(waypost, id)).stage === 'held');
    const { body } = await call(waypost.api, '/admin/v1/held/actions', { body: { action: 'release', ids: [id] } });
    expect(body.changed).toBe(1);
    await waitFor('the message', () => peer.messages.find(({ body: text }) => text.includes(`X-Waypost-Id: ${id}`)));
  });
});

/** Records of messages that are still there. */
async function redis_keys(): Promise<string[]> {
  const { openRedis } = await import('@waypost/redis');
  const { redisConfig } = await import('../../support/redis-servers.js');
  const handle = await openRedis(redisConfig({ url: redis.url }));
  try {
    return (await handle.client.keys('wp:{*}:b*')) as string[];
  } finally {
    await handle.close();
  }
}

describe('policy that does not answer', () => {
  it.each([
    ['accept', /^250 /],
    ['defer', /^451 4\.7\.1 /],
  ] as const)('within its budget: %s', async (on_timeout, reply) => {
    // It takes the question and says nothing.
    const silent = createServer(() => undefined).listen(0, '127.0.0.1');
    servers.push(silent);
    await once(silent, 'listening');
    const { port } = silent.address() as { port: number };
    await newRedis();
    const inline = { url: `http://127.0.0.1:${port}`, secret: SECRET, budget: '300ms', on_timeout };
    const waypost = await start({ policy: { inline } }, ['ingress']);
    expect(await send(waypost, `unanswered ${on_timeout}`)).toMatch(reply);
    expect(await waypost.metric('waypost_inline_verdicts_total{result="late"}')).toBe(1);
  });

  it('within its process keeps its place until it is through, though nobody waits for it any more', async () => {
    const silent = createServer(() => undefined).listen(0, '127.0.0.1');
    servers.push(silent);
    await once(silent, 'listening');
    const { port } = silent.address() as { port: number };
    await newRedis();
    const waypost = await start({
      policy: { inline: { budget: '300ms', concurrency: 1 } },
      filters: { clamd: { address: `127.0.0.1:${port}`, timeout: '10s', on_failure: 'pass' } },
    });
    for (const subject of ['first', 'second', 'third']) expect(await send(waypost, subject)).toMatch(/^250 /);
    expect(await waypost.metric('waypost_inline_verdicts_total{result="late"}')).toBe(1);
    expect(await waypost.metric('waypost_inline_verdicts_total{result="busy"}')).toBe(2);
  });
});
