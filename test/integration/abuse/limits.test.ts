import { LimitedError, Limiter, type Usage } from '@waypost/abuse';
import { type Config, loadConfig } from '@waypost/config';
import { type Command, type Executor, openRedis, type RedisHandle } from '@waypost/redis';
import {
  type SmtpDialog,
  startRedis,
  startWaypost,
  TEST_KEY,
  type TestRedis,
  type WaypostProcess,
} from '@waypost/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { call, email } from '../../support/http.js';
import { greet, sendMessage } from '../../support/relay.js';

let redis: TestRedis;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis?.stop());

/** Runs commands in Redis, and keeps those of each round trip. */
class Counting implements Executor {
  readonly trips: (readonly Command[])[] = [];
  constructor(private readonly inner: Executor) {}
  exec(commands: readonly Command[]): Promise<unknown[]> {
    this.trips.push(commands);
    return this.inner.exec(commands);
  }
}

describe('the limiter', () => {
  let handle: RedisHandle;
  beforeEach(async () => {
    const config = loadConfig({ text: JSON.stringify({ redis: { url: redis.url } }) }).redis;
    handle = await openRedis(config);
    await handle.client.flushall();
  });
  afterEach(() => handle.close());

  const settings = (limits: unknown[]): Config['abuse'] =>
    loadConfig({ text: JSON.stringify({ abuse: { limits } }) }).abuse;
  const usage: Usage = {
    kind: 'submission',
    credential: 'app',
    tenant: 't',
    address: '192.0.2.1',
    sender: 'a@example.com',
  };
  const make = (...limits: unknown[]) => {
    const executor = new Counting(handle.group);
    const abuse = settings(limits);
    return { executor, limiter: new Limiter(executor, () => abuse) };
  };

  it('asks Redis for nothing where no limit holds', async () => {
    const none = make();
    expect(none.limiter.begin(usage, 0)).toBeUndefined();
    const other = make(
      { per: 'credential', match: 'another', messages: '1/d' },
      { per: 'sender', match: 'example.org', messages: '1/d' },
    );
    expect(other.limiter.begin(usage, 0)).toBeUndefined();
    await other.limiter.whole([{ ...usage, octets: 1000, domains: ['example.org'] }]);
    expect([...none.executor.trips, ...other.executor.trips]).toEqual([]);
  });

  it('asks once a transaction, whatever the number of limits and recipients', async () => {
    const { executor, limiter } = make(
      { per: 'credential', messages: ['10/min', '100/d'], recipients: '1000/h', bytes: '1GiB/d' },
      { per: 'tenant', messages: '10/min' },
      { per: 'address', messages: '10/min', recipients: '100/min' },
      { per: 'sender', messages: '10/min' },
    );
    const metered = await limiter.begin(usage, 5000);
    expect(executor.trips.map((commands) => commands.length)).toEqual([1]);
    for (let at = 0; at < 50; at += 1) await metered?.recipient('example.org');
    metered?.accepted(5100);
    expect(executor.trips.length).toBe(1);
    await limiter.flush();
    expect(executor.trips.map((commands) => commands.length)).toEqual([1, 1]);
  });

  it('holds exactly over processes, and says when to come again', async () => {
    const rule = { per: 'credential', messages: '10/d' };
    const [one, other] = [make(rule), make(rule)];
    const answers = await Promise.allSettled(
      Array.from({ length: 30 }, async (_, at) => {
        const metered = await (at % 2 ? one : other).limiter.begin(usage, 0);
        metered?.accepted(100);
      }),
    );
    const refused = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason as LimitedError] : []));
    expect(answers.length - refused.length).toBe(10);
    expect(
      refused.every((error) => error instanceof LimitedError && error.retryAfter >= 1 && error.retryAfter <= 172_800),
    ).toBe(true);
  });

  it('counts recipients and octets of a transaction for the next one, and of all the first that is over refuses', async () => {
    const { limiter } = make({ per: 'credential', recipients: '5/d', bytes: '10KiB/d' });
    const first = await limiter.begin(usage, 0);
    for (let at = 0; at < 4; at += 1) await first?.recipient('example.org');
    first?.accepted(9000);
    const second = await limiter.begin(usage, 0);
    await second?.recipient('example.org');
    await expect(second?.recipient('example.org')).rejects.toThrow('Too many recipients with this credential');
    second?.abandoned();
    await expect(limiter.begin(usage, 2000)).rejects.toThrow('Too much mail with this credential');
    const third = await limiter.begin(usage, 1000);
    await third?.recipient('example.org');
    third?.accepted(1000);
    await expect(limiter.begin(usage, 0)).rejects.toThrow(LimitedError);
  });

  it('gives back what a transaction took that came to nothing', async () => {
    const { limiter } = make({ per: 'sender', messages: '1/d', recipients: '3/d' });
    for (let at = 0; at < 5; at += 1) {
      const metered = await limiter.begin(usage, 0);
      for (let more = 0; more < 3; more += 1) await metered?.recipient('example.org');
      metered?.abandoned();
    }
    (await limiter.begin(usage, 0))?.accepted(1);
    await expect(limiter.begin(usage, 0)).rejects.toThrow(LimitedError);
  });

  it('limits what goes to a domain, and the others not', async () => {
    const rule = { per: 'recipient_domain', match: ['example.org', '*.example.org'], recipients: '3/h' };
    const [one, other] = [make(rule), make(rule)];
    const metered = await one.limiter.begin(usage, 0);
    await metered?.recipient('example.org');
    await metered?.recipient('example.org');
    metered?.accepted(1);
    await one.limiter.flush();
    const elsewhere = await other.limiter.begin({ ...usage, sender: 'b@example.com' }, 0);
    await elsewhere?.recipient('example.net');
    await elsewhere?.recipient('example.org');
    await expect(elsewhere?.recipient('example.org')).rejects.toThrow('Too many recipients to this domain');
    await elsewhere?.recipient('sub.example.org');
    await elsewhere?.recipient('example.net');
  });

  it('takes the first rule that fits, so that exceptions come before', async () => {
    const { limiter } = make(
      { per: 'credential', match: 'app', messages: '3/d' },
      { per: 'credential', messages: '1/d' },
    );
    for (let at = 0; at < 3; at += 1) (await limiter.begin(usage, 0))?.accepted(1);
    await expect(limiter.begin(usage, 0)).rejects.toThrow(LimitedError);
    const other = { ...usage, credential: 'other' };
    (await limiter.begin(other, 0))?.accepted(1);
    await expect(limiter.begin(other, 0)).rejects.toThrow(LimitedError);
  });

  it('counts IPv6 by prefix', async () => {
    const { limiter } = make({ per: 'address', messages: '1/d' });
    (await limiter.begin({ ...usage, address: '2001:db8::1' }, 0))?.accepted(1);
    await expect(limiter.begin({ ...usage, address: '2001:db8::ffff' }, 0)).rejects.toThrow(LimitedError);
    (await limiter.begin({ ...usage, address: '2001:db8:0:1::1' }, 0))?.accepted(1);
  });

  it('lets the window slide: half a period on, half of the last one still counts', async () => {
    const { limiter } = make({ per: 'credential', messages: '100/d' });
    const day = 86_400_000;
    const [seconds = 0] = await handle.client.time();
    const window = Math.floor((Number(seconds) * 1000) / day);
    const passed = (Number(seconds) * 1000 - window * day) / day;
    // As if all of yesterday's hundred were sent, and none today.
    await handle.client.set('wp:limit:credential:app:messages:86400000', `${window - 1} 100 0`);
    let sent = 0;
    for (;;) {
      const metered = await limiter.begin(usage, 0)?.catch(() => undefined);
      if (!metered) break;
      metered.accepted(1);
      sent += 1;
    }
    expect(Math.abs(sent - passed * 100)).toBeLessThanOrEqual(1);
  });

  it('forgets a count two periods after its last use', async () => {
    const { limiter } = make({ per: 'credential', messages: ['5/s', '5/h'] });
    (await limiter.begin(usage, 0))?.accepted(1);
    const ttls = await Promise.all(
      (await handle.client.keys('wp:limit:*')).sort().map((key) => handle.client.pttl(key)),
    );
    expect(ttls.sort((a, b) => a - b).map((ttl) => Math.ceil(ttl / 2000))).toEqual([1, 3600]);
  });
});

describe('limits, over SMTP and HTTP in two processes', () => {
  const processes: WaypostProcess[] = [];
  beforeAll(async () => {
    const start = () =>
      startWaypost({
        redis: redis.url,
        services: ['ingress'],
        listeners: [
          { name: 'submission', kind: 'submission', auth_without_tls: true },
          { name: 'trusted' },
          { name: 'inbound', kind: 'mx', domains: ['example.com'], allow: [], banner_delay: 0 },
        ],
        config: {
          keys: [
            { id: 'test', secret: TEST_KEY, scopes: ['send', 'read', 'admin'] },
            { id: 'small', secret: SMALL, scopes: ['send'] },
          ],
          abuse: {
            limits: [
              { per: 'credential', match: 'small', messages: '4/d' },
              { per: 'sender', match: 'many@example.net', recipients: '3/d' },
              { per: 'address', kinds: ['mx'], match: '127.0.0.9', messages: '1/d' },
            ],
          },
        },
      });
    processes.push(await start(), await start());
  });
  afterAll(() => Promise.all(processes.map((one) => one.stop())));
  const SMALL = 'wp_small_0123456789abcdef0123456789abcdef';
  const of = (at: number) => processes[at] as WaypostProcess;

  async function loggedIn(at: number): Promise<SmtpDialog> {
    const dialog = await greet(of(at).port('submission'));
    expect(await dialog.say(`AUTH PLAIN ${Buffer.from(`\0me\0${SMALL}`).toString('base64')}`)).toMatch(/^235/);
    return dialog;
  }

  it('holds a credential to its messages by SMTP and HTTP together', async () => {
    const [one, other] = [await loggedIn(0), await loggedIn(1)];
    expect(await sendMessage(one, 'Subject: 1\r\n\r\n')).toMatch(/^250/);
    expect(await sendMessage(other, 'Subject: 2\r\n\r\n')).toMatch(/^250/);
    for (const at of [0, 1]) {
      expect((await call(of(at).http, '/v1/emails', { key: SMALL, body: email('by http') })).status).toBe(200);
    }
    expect(await one.say('MAIL FROM:<a@example.com>')).toMatch(
      /^452 4\.7\.1 Too many messages with this credential, try again in \d+ s/,
    );
    const answer = await call(of(1).http, '/v1/emails', { key: SMALL, body: email('too much') });
    expect(answer.status).toBe(429);
    expect(answer.body).toMatchObject({ name: 'rate_limit_exceeded' });
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await of(0).metric('waypost_abuse_limited_total')).toBe(1);
    // Another credential is not held.
    expect((await call(of(1).http, '/v1/emails', { body: email('other') })).status).toBe(200);
    one.close();
    other.close();
  });

  it('takes recipients up to the limit and puts the others off', async () => {
    const dialog = await greet(of(0).port('trusted'));
    await dialog.say('MAIL FROM:<many@example.net>');
    for (const to of ['1', '2', '3']) expect(await dialog.say(`RCPT TO:<${to}@example.org>`)).toMatch(/^250/);
    expect(await dialog.say('RCPT TO:<4@example.org>')).toMatch(/^452 4\.7\.1 Too many recipients from this sender/);
    await dialog.say('DATA');
    dialog.write('Subject: three\r\n\r\n.\r\n');
    expect(await dialog.reply()).toMatch(/^250/);
    dialog.close();
  });

  it('limits an address at one kind of listener', async () => {
    const dialog = await greet(of(1).port('inbound'), { localAddress: '127.0.0.9' });
    expect(await sendMessage(dialog, 'Subject: in\r\n\r\n', 'a@example.net', 'b@example.com')).toMatch(/^250/);
    expect(await dialog.say('MAIL FROM:<a@example.net>')).toMatch(/^452 4\.7\.1 Too many messages from your address/);
    dialog.close();
    const other = await greet(of(1).port('inbound'), { localAddress: '127.0.0.10' });
    expect(await other.say('MAIL FROM:<a@example.net>')).toMatch(/^250/);
    other.close();
  });
});
