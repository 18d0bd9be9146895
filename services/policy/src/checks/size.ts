import { type Check, PASS } from '../check.js';

/** Refuses what is larger than the limit; ingress refuses first, this holds for limits lowered meanwhile. */
export function sizeCheck(limit: () => number): Check {
  return {
    name: 'size',
    run: ({ meta }) =>
      meta.body.size <= limit() + HEADERS_OF_OURS
        ? PASS
        : {
            kind: 'reject',
            reply: { code: 552, enhanced: '5.3.4', text: `Message of ${meta.body.size} octets is over ${limit()}` },
          },
  };
}

/** Room for the header fields that ingress itself added. */
const HEADERS_OF_OURS = 4096;
