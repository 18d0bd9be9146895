import { type Check, PASS } from '../check.js';
import type { SmimeDeps } from './smime-deps.js';
import { readSecured } from './smime-in.js';
import { secure } from './smime-out.js';

/**
 * S/MIME at the gateway (RFC 8551): mail from outside is decrypted for its recipients and its signature noted; mail of our
 * own is signed for its sender and encrypted to those whose certificates are known. It comes before `arc` and `dkim`, which
 * sign what it makes.
 */
export function smimeCheck(deps: SmimeDeps): Check {
  return {
    name: 'smime',
    run: async (context) => {
      const inForce = deps.material.current();
      if (!inForce) return PASS;
      return context.meta.origin.kind === 'mx' ? readSecured(context, inForce, deps) : secure(context, inForce, deps);
    },
  };
}
