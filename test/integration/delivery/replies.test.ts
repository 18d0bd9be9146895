import { readdirSync, readlinkSync } from 'node:fs';
import { type Answer, SmtpPeer, waitFor } from '@waypost/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { arrival, type Relay, startRelay } from '../../support/relay.js';
import { dsnOf, eventTypes, states, submit } from '../../support/track.js';

let relay: Relay;
/** What the next hop answers instead of the usual; a test sets it for its own addresses. */
let script: (phase: string, line: string, state: { connection: number; message: number }) => Answer = () => undefined;
beforeAll(async () => {
  relay = await startRelay({
    peer: { script: (phase, line, state) => script(phase, line, state) },
    config: { delivery: { retry: { initial: '300ms', factor: 1, jitter: 0 }, connections: 1 } },
  });
});
afterAll(() => relay?.stop());
afterEach(() => {
  script = () => undefined;
});

/** DSNs about the tests before have the null reverse-path; they are taken as usual. */
function butForDsns(own: (phase: string) => Answer): typeof script {
  let mail = '';
  return (phase, line) => {
    if (phase === 'mail') mail = line;
    return mail.includes('<>') ? undefined : own(phase);
  };
}

const times = () => {
  let count = 0;
  return () => {
    count += 1;
    return count;
  };
};

describe('recipients of one transaction fare each on its own', () => {
  it('one is delivered, one bounces and one is tried again alone', async () => {
    const late = times();
    script = (phase, line) => {
      if (phase !== 'rcpt') return undefined;
      if (line.includes('gone@')) return '550 5.1.1 no such user';
      return line.includes('late@') && late() === 1 ? '450 4.2.0 come back later' : undefined;
    };
    const to = ['fine@example.org', 'gone@example.org', 'late@example.org'];
    const id = await submit(relay, 'three', { to });
    const [fine, gone, again] = await states(relay, id, 'delivered', 'bounced', 'delivered');
    expect(fine).toMatchObject({ attempts: 1 });
    expect(gone).toMatchObject({ attempts: 1, last_response: { code: 550, enhanced: '5.1.1', text: 'no such user' } });
    expect(again).toMatchObject({ attempts: 2 });
    const copies = relay.peer.messages.filter(({ body }) => body.includes('Subject: three'));
    const envelope = copies.filter(({ mail }) => !mail.includes('<>')).map(({ rcpts }) => rcpts.length);
    expect(envelope).toEqual([1, 1]);
    const dsn = await dsnOf(relay.peer, id);
    expect(dsn.status).toHaveLength(2);
    expect(dsn.status[1]?.['final-recipient']).toMatch(/gone@example\.org/);
  });

  it('too many for the peer: the rest follows in a transaction of its own, at once', async () => {
    script = (phase, line) =>
      phase === 'rcpt' &&
      /many[3-5]@/.test(line) &&
      !relay.peer.messages.some(({ rcpts }) => rcpts[0]?.includes('many0'))
        ? '452 4.5.3 too many recipients'
        : undefined;
    const to = Array.from({ length: 6 }, (_, i) => `many${i}@example.org`);
    const id = await submit(relay, 'crowd', { to });
    const list = await states(relay, id, ...to.map(() => 'delivered'));
    expect(list.map(({ attempts }) => attempts)).toEqual([1, 1, 1, 1, 1, 1]);
  });
});

describe('a refusal is lasting or passing by what was refused', () => {
  it.each<[string, string, string, string]>([
    ['MAIL 5yz', 'mail', '550 5.7.1 not you', 'bounced'],
    ['DATA 5yz', 'data', '554 5.7.1 no', 'bounced'],
    ['the final dot 5yz', 'dot', '550 5.7.1 spam', 'bounced'],
    ['552 for size at the dot', 'dot', '552 5.3.4 too big', 'bounced'],
  ])('%s', async (name, phase, reply, state) => {
    script = butForDsns((at) => (at === phase ? reply : undefined));
    const id = await submit(relay, name);
    const [only] = await states(relay, id, state);
    expect(only?.last_response?.text).toBe(reply.slice(reply.indexOf(' ', 4) + 1));
  });

  it.each<[string, string, Answer]>([
    ['MAIL 4yz', 'mail', '451 4.3.0 not now'],
    ['DATA 4yz', 'data', '451 4.3.0 not now'],
    ['the final dot 4yz', 'dot', '451 4.3.0 not now'],
    ['421 to MAIL', 'mail', '421 4.3.2 shutting down'],
    ['421 at the dot', 'dot', '421 4.3.2 shutting down'],
    ['a connection dropped at MAIL', 'mail', 'drop'],
    ['a connection dropped at DATA', 'data', 'drop'],
    ['a refused greeting', 'greeting', '554 5.3.2 go away'],
    ['a refused EHLO', 'ehlo', '421 4.3.2 not today'],
    ['nonsense for a greeting', 'greeting', 'HTTP/1.1 400 Bad Request'],
  ])('%s is tried again', async (name, phase, answer) => {
    const first = times();
    // The session of a test before would have passed these phases already.
    if (phase === 'greeting' || phase === 'ehlo') {
      script = (at) => (at === 'mail' ? 'drop' : undefined);
      const id = await submit(relay, `${name} before`);
      await states(relay, id, 'deferred');
      script = () => undefined;
      await states(relay, id, 'delivered');
      script = (at) => (at === 'mail' && first() === 1 ? 'drop' : at === phase && first() <= 2 ? answer : undefined);
    } else script = butForDsns((at) => (at === phase && first() === 1 ? answer : undefined));
    const id = await submit(relay, name);
    const [only] = await states(relay, id, 'delivered');
    expect(only?.attempts).toBeGreaterThan(1);
    expect(relay.peer.messages.filter(({ body }) => body.includes(`Subject: ${name}\r\n`))).toHaveLength(1);
    expect(await eventTypes(relay, id)).toContain('TransientFailure');
  });
});

describe('the outcome is unknown', () => {
  it('where the connection dies after the final dot: it is said so, counted, and tried again', async () => {
    const first = times();
    script = (phase) => (phase === 'dot' && first() === 1 ? 'drop' : undefined);
    const id = await submit(relay, 'unknown');
    await states(relay, id, 'delivered');
    expect(await eventTypes(relay, id)).toContain('OutcomeUnknown');
    expect(await relay.waypost.metric('waypost_outcome_unknown_total')).toBe(1);
  });
});

describe('connections', () => {
  it('are kept from message to message, and let go when idle', async () => {
    await arrivalOf('first of many');
    const before = relay.peer.connections;
    for (let i = 0; i < 10; i += 1) await arrivalOf(`kept ${i}`);
    expect(relay.peer.connections).toBe(before);
  });

  async function arrivalOf(subject: string): Promise<void> {
    await submit(relay, subject);
    await arrival(relay.peer, subject);
  }

  it('carry no more messages than they may', async () => {
    const peer = await SmtpPeer.start();
    const other = await startRelay({
      config: {
        routes: [{ match: '*', to: `smtp://127.0.0.1:${peer.port}`, tls: 'none' }],
        delivery: { messages_per_connection: 2, connections: 1 },
      },
    });
    for (let i = 0; i < 5; i += 1) {
      await submit(other, `few ${i}`);
      await arrival(peer, `few ${i}`);
    }
    const counts = [1, 2, 3].map((n) => peer.messages.filter(({ connection }) => connection === n).length);
    expect(counts).toEqual([2, 2, 1]);
    await other.stop();
    await peer.stop();
  });
});

describe('a message whose body is in a file', () => {
  it('leaves no file open when it is refused before its body is asked for', async () => {
    const files = () =>
      readdirSync(`/proc/${relay.waypost.pid}/fd`).filter((fd) => {
        try {
          return readlinkSync(`/proc/${relay.waypost.pid}/fd/${fd}`).includes('/spool/');
        } catch {
          return false;
        }
      });
    script = butForDsns((phase) => (phase === 'rcpt' ? '550 5.1.1 nobody' : undefined));
    const id = await submit(relay, 'large refused', { body: `${'x'.repeat(70)}\r\n`.repeat(3000) });
    await states(relay, id, 'bounced');
    await waitFor('the file to be closed', () => files().length === 0);
  });
});
