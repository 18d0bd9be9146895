import { domainOf, isDomain, normaliseAddress } from '@waypost/mail';
import type { Config } from './schema.js';

/** Whoever guesses a secret can take any address off our senders' lists. */
const SECRET_MIN = 32;

/** @returns the secrets of tokens: the first signs, all of them are good. */
export function bounceSecrets({ secret }: Pick<Config['bounces'], 'secret'>): string[] {
  return secret.split(/\s+/).filter(Boolean);
}

/** @returns what is wrong with how bounces come back. */
export function checkBounces({ bounces }: Config): string[] {
  const { domain, rules, feedback, postmaster, verp } = bounces;
  const secrets = bounceSecrets(bounces);
  const domains = [domain, ...rules.map((rule) => rule.domain)].filter((name) => name !== undefined);
  const on = domains.length > 0 || feedback.length > 0;
  const homeless = domain === undefined && (verp !== 'off' || rules.some((rule) => wantsDomain(rule)));
  return [
    ...domains
      .filter((name) => !isDomain(name.toLowerCase()) || name.startsWith('['))
      .map((name) => `bounces: "${name}" is no domain; write such as bounces.example.com`),
    ...(on && secrets.length === 0
      ? ['bounces: tokens need a secret; set bounces.secret_file, such as to 32 octets from "openssl rand -hex 32"']
      : []),
    ...(secrets.some((secret) => secret.length < SECRET_MIN)
      ? [`bounces.secret: needs ${SECRET_MIN} characters at least, such as from "openssl rand -hex 32"`]
      : []),
    ...(homeless ? ['bounces: VERP needs bounces.domain, or a "domain" in each rule that switches it on'] : []),
    ...(postmaster !== undefined && [...feedback, ...domains].some((one) => isAt(postmaster, one))
      ? ['bounces.postmaster: reports come to that address; name one that is read']
      : []),
    ...[...feedback, ...(postmaster === undefined ? [] : [postmaster])]
      .filter((address) => normaliseAddress(address) === undefined)
      .map((address) => `bounces: "${address}" is no address`),
  ];
}

const wantsDomain = ({ domain, verp }: Config['bounces']['rules'][number]) =>
  domain === undefined && verp !== undefined && verp !== 'off';

const isAt = (address: string, place: string) =>
  address.toLowerCase() === place.toLowerCase() || domainOf(address) === place.toLowerCase();
