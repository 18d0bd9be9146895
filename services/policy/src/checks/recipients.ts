import type { RouteConfig } from '@waypost/config';
import { domainOf } from '@waypost/mail';
import { type Check, type OpenRecipient, PASS } from '../check.js';
import { hasRoute } from '../route.js';

/** Refuses recipients that no route leads to, which ingress could not know of. */
export function recipientsCheck(routes: () => readonly RouteConfig[]): Check {
  const routable = ({ recipient }: OpenRecipient) => {
    const domain = domainOf(recipient.address);
    return domain !== '' && hasRoute(routes(), domain);
  };
  return {
    name: 'recipients',
    run: ({ open }) => {
      const bad = open.filter((entry) => !routable(entry));
      if (bad.length === 0) return PASS;
      const text = `No route for ${bad[0]?.recipient.address}`;
      return { kind: 'reject', reply: { code: 550, enhanced: '5.4.4', text }, rcpts: bad.map((entry) => entry.i) };
    },
  };
}
