import { type Check, PASS } from '../check.js';

/** Marks the message with its queue id, by which a bounce or complaint that quotes its header finds it again. */
export const traceCheck: Check = {
  name: 'trace',
  run: ({ meta, addHeader }) => {
    addHeader(`X-Waypost-Id: ${meta.id}`);
    return PASS;
  },
};
