import { forAll, type LaneTarget } from '../target.js';

/** Where mail goes that an operator has stopped: nowhere. The attempt says why, and ends what is too old. */
export function suspendedTarget(reason: string): LaneTarget {
  const reply = { code: 451, enhanced: '4.7.1', text: `Mail of this kind is suspended by the operator: ${reason}` };
  return {
    kind: 'suspended',
    alive: true,
    prepare: async (job) => ({ results: forAll(job, { result: 'deferred', reply }) }),
    send: async ({ job }) => ({ results: forAll(job, { result: 'deferred', reply }) }),
    close: () => undefined,
  };
}
