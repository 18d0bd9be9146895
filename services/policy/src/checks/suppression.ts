import type { Suppression } from '@waypost/store';
import { type Check, PASS } from '../check.js';

/** Takes out recipients that must not be attempted. */
export const suppressionCheck: Check = {
  name: 'suppression',
  run: async ({ open, suppressed }) => {
    const found = await suppressed(open.map((entry) => entry.recipient.address));
    if (found.size === 0) return PASS;
    const hit = open.filter((entry) => found.has(entry.recipient.address));
    const { address, cause, at } = found.get(hit[0]?.recipient.address ?? '') as Suppression;
    const since = new Date(at).toISOString();
    return {
      kind: 'reject',
      state: 'suppressed',
      reply: { code: 550, enhanced: '5.7.1', text: `${address} is suppressed since ${since}: ${cause}` },
      rcpts: hit.map((entry) => entry.i),
    };
  },
};
