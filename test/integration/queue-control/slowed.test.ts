import { afterAll, beforeAll, expect, it } from 'vitest';
import { call } from '../../support/http.js';
import { type Relay, startRelay } from '../../support/relay.js';
import { states, submit } from '../../support/track.js';

let relay: Relay;
beforeAll(async () => {
  relay = await startRelay({
    peer: {
      script: (phase, line) => (phase === 'rcpt' && line.includes('<first') ? '450 4.7.28 too fast for us' : undefined),
    },
    config: {
      shaping: [{ match: '127.0.0.1', replies: [{ text: 'too fast', action: 'slow', rate: '1/h', for: '1h' }] }],
      delivery: { retry: { initial: '1h' } },
    },
  });
});
afterAll(() => relay?.stop());

it('why: a message that waits for a site that was slowed down learns of the limit and of what was said', async () => {
  await states(relay, await submit(relay, 'too fast', { to: 'first@example.org' }), 'deferred');
  const ids: string[] = [];
  // The hour's message goes through in the terms of before or after; those behind it wait.
  for (let at = 0; at < 4; at += 1) ids.push(await submit(relay, `next ${at}`, { to: `next${at}@example.org` }));
  const last = ids.at(-1) ?? '';
  await states(relay, last, 'queued');
  const { waiting } = (await call(relay.waypost.api, `/admin/v1/messages/${last}/why`)).body;
  expect(waiting).toMatchObject([
    {
      kind: 'rate',
      limit: `slowed:site:smtp:127.0.0.1:${relay.peer.port}`,
      text: expect.stringMatching(/It is slowed until 20.*: the remote said: 450 4\.7\.28 too fast for us$/),
    },
  ]);
});
