import { readFileSync, writeFileSync } from 'node:fs';
import { freePort, missing, waitFor } from '@waypost/testkit';
import { describe, expect, it } from 'vitest';
import { EICAR, startClamd } from '../../support/filters.js';
import { startRelay } from '../../support/relay.js';
import { eventTypes, states, submit } from '../../support/track.js';

const lacking = missing('clamd');

describe.skipIf(lacking.length > 0)(`filters when the file changes (needs ${lacking.join(', ') || 'clamd'})`, () => {
  it('a scanner that moved is found, and what waited for it goes on', async () => {
    const clamd = await startClamd('tcp');
    const relay = await startRelay({
      config: { filters: { clamd: { address: `127.0.0.1:${await freePort()}` } }, policy: { retry: '300ms' } },
    });
    try {
      const id = await submit(relay, 'waits');
      const bad = await submit(relay, 'infected', { body: `${EICAR}\r\n` });
      for (const one of [id, bad]) {
        await waitFor(`a deferral of ${one}`, async () => (await eventTypes(relay, one)).includes('PolicyDefer'));
      }
      const config = JSON.parse(readFileSync(relay.waypost.file, 'utf8'));
      config.filters.clamd.address = clamd.address;
      writeFileSync(relay.waypost.file, JSON.stringify(config));
      await states(relay, id, 'delivered');
      const [state] = await states(relay, bad, 'rejected');
      expect(state?.last_response?.text).toContain('Test.Eicar');
    } finally {
      await relay.stop();
      await clamd.stop();
    }
  });
});
