import type { RouteConfig } from '@waypost/config';
import { domainOf, type MessageMeta } from '@waypost/mail';
import { type Check, type OpenRecipient, PASS } from '../check.js';
import { routeOf } from '../route.js';

/** Refuses recipients that no route leads to, which ingress could not know of. */
export function recipientsCheck(routes: () => readonly RouteConfig[]): Check {
  const routable = (meta: MessageMeta, { recipient }: OpenRecipient) => {
    const domain = domainOf(recipient.address);
    return domain !== '' && routeOf(meta, domain, routes()) !== undefined;
  };
  return {
    name: 'recipients',
    run: ({ meta, open }) => {
      const bad = open.filter((entry) => !routable(meta, entry));
      if (bad.length === 0) return PASS;
      const text = `No route for ${bad[0]?.recipient.address}`;
      return { kind: 'reject', reply: { code: 550, enhanced: '5.4.4', text }, rcpts: bad.map((entry) => entry.i) };
    },
  };
}
