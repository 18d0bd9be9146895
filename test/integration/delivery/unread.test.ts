import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { simpleParser } from 'mailparser';
import { afterEach, describe, expect, it } from 'vitest';
import { call } from '../../support/http.js';
import { type Relay, startRelay } from '../../support/relay.js';
import { states, submit } from '../../support/track.js';

let relay: Relay | undefined;
const dir = mkdtempSync(join(tmpdir(), 'waypost-unread-'));
afterEach(async () => {
  await relay?.stop();
  rmSync(dir, { recursive: true, force: true });
});

describe('a message that cannot be read any more once the first recipient has it', () => {
  it('is on record as his, and goes to the others later', async () => {
    let hidden = false;
    const spool = join(dir, 'spool');
    relay = await startRelay({
      config: {
        spool: { dir: spool, inline_max: 1024 },
        delivery: { retry: { initial: '1h' }, recipients_per_transaction: 1 },
      },
      peer: {
        script: (phase) => {
          if (phase === 'dot' && !hidden) {
            hidden = true;
            renameSync(spool, `${spool}.away`);
          }
          return undefined;
        },
      },
    });
    const to = ['one@example.org', 'two@example.org', 'three@example.org'];
    const id = await submit(relay, 'read thrice', { to, body: 'so many words\r\n'.repeat(20_000) });
    const [, second] = await states(relay, id, 'delivered', 'deferred', 'deferred');
    expect(second?.last_response).toMatchObject({ code: 451, enhanced: '4.3.0' });
    renameSync(`${spool}.away`, spool);
    await call(relay.waypost.api, '/admin/v1/queue/actions', { body: { action: 'retry', ids: [id] } });
    await states(relay, id, 'delivered', 'delivered', 'delivered');
    const subjects = await Promise.all(relay.peer.messages.map(async ({ body }) => (await simpleParser(body)).subject));
    expect(subjects).toEqual(['read thrice', 'read thrice', 'read thrice']);
  });
});
