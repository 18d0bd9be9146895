import { isDomain } from '@waypost/mail';
import type { AuthConfig } from './auth-schema.js';
import { Networks } from './networks.js';

/** @returns what is wrong with the section `auth`, a sentence each. */
export function checkAuth({ dmarc }: AuthConfig): string[] {
  const { trusted_sealers, mailing_lists, trusted_forwarders } = dmarc;
  return [
    ...Object.entries({ trusted_sealers, mailing_lists }).flatMap(([key, names]) =>
      names.filter((name) => !isDomain(name)).map((name) => `auth.dmarc.${key}: "${name}" is no domain`),
    ),
    ...trusted_forwarders.flatMap((network) => {
      try {
        new Networks([network]);
        return [];
      } catch (error) {
        return [`auth.dmarc.trusted_forwarders: ${(error as Error).message}`];
      }
    }),
  ];
}
