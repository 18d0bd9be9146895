import { isDomain } from '@waypost/mail';
import { readPrivateKey } from './private-key.js';
import type { ArcSettings, DkimDomain, DkimSettings } from './signing-schema.js';

const SELECTOR = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/i;
const ASCII_DOMAIN = /^[\x21-\x7e]+$/;

/** @returns what is wrong with the section `dkim`, a sentence each; never quotes a key. */
export function checkDkim({ domains, signed, oversigned, sealed }: DkimSettings): string[] {
  return [
    ...(signed.includes('from') ? [] : ['dkim.signed: it must hold "from" (RFC 6376 §5.4)']),
    ...[...oversigned, ...sealed]
      .filter((name) => !signed.includes(name))
      .map((name) => `dkim: "${name}" is oversigned or sealed, but not signed; put it under "signed" too`),
    ...domains.flatMap(checkDomain),
  ];
}

/** @returns what is wrong with the section `arc`. */
export function checkArc({ seal }: { readonly seal?: ArcSettings | undefined }): string[] {
  if (!seal) return [];
  return [
    ...checkAscii('arc.seal.domain', seal.domain),
    ...checkSelector(`arc.seal.selector: "${seal.selector}"`, seal.selector),
    ...checkKey('arc.seal.key', seal.key),
    ...seal.signed
      .filter((name) => name.startsWith('arc-') || name === 'authentication-results')
      .map((name) => `arc.seal.signed: "${name}" must not be in it (RFC 8617 §4.1.2)`),
  ];
}

function checkAscii(at: string, domain: string): string[] {
  const fits = ASCII_DOMAIN.test(domain) && isDomain(domain) && !domain.startsWith('[');
  return fits ? [] : [`${at} is no domain name in ASCII, so that no record can be found under it`];
}

function checkDomain({ match, domain, keys }: DkimDomain): string[] {
  const at = `dkim.domains "${match}"`;
  const selectors = keys.map(({ selector }) => selector.toLowerCase());
  return [
    ...(domain === undefined ? [] : checkAscii(`${at}: "domain"`, domain)),
    ...selectors
      .filter((name, index) => selectors.indexOf(name) !== index)
      .map((name) => `${at}: two keys have the selector "${name}"`),
    ...keys.flatMap(({ selector, key, replaces, from, until }) => [
      ...checkSelector(`${at}: "${selector}"`, selector),
      ...checkKey(`${at}: the key of "${selector}"`, key),
      ...(replaces === undefined || (selectors.includes(replaces.toLowerCase()) && replaces !== selector)
        ? []
        : [`${at}: "${selector}" replaces "${replaces}", and there is no other key of that selector`]),
      ...(from !== undefined && until !== undefined && until <= from
        ? [`${at}: "${selector}" ends before it begins; "until" must be later than "from"`]
        : []),
    ]),
  ];
}

function checkSelector(at: string, selector: string): string[] {
  return SELECTOR.test(selector) && selector.length <= 63 * 2
    ? []
    : [`${at} is no selector; write letters, digits and dashes, with dots between parts`];
}

function checkKey(at: string, pem: string): string[] {
  try {
    readPrivateKey(pem);
    return [];
  } catch (error) {
    return [`${at}: ${(error as Error).message}`];
  }
}
