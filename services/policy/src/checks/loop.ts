import { type Check, PASS } from '../check.js';

/** Refuses a message that went through too many hops (RFC 5321 §6.3). */
export function loopCheck(limit: () => number): Check {
  return {
    name: 'loop',
    run: ({ meta }) =>
      meta.hops < limit()
        ? PASS
        : {
            kind: 'reject',
            reply: { code: 554, enhanced: '5.4.6', text: `Routing loop: the message has ${meta.hops} Received fields` },
          },
  };
}
