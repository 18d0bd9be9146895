import { domainToASCII } from 'node:url';
import { domainOf, type FieldSpan, fieldValue } from '@waypost/mail';
import addressparser from 'nodemailer/lib/addressparser';
import type { Credential } from './ports.js';

/** Longer From fields are nobody's. */
const LONGEST = 16_384;

/**
 * Looks whether a message's authors (RFC 5322 §3.6.2) are such as the credential may send for; else a key that is limited to
 * one domain could still show any other.
 * @returns the first author that is not; undefined where all are.
 */
export function foreignAuthor(
  head: Buffer,
  fields: readonly FieldSpan[],
  credential: Pick<Credential, 'allowsSender'>,
): string | undefined {
  if (credential.allowsSender(ANYONE)) return undefined;
  return firstAuthor(head, fields, (address) => !credential.allowsSender(address), true);
}

/**
 * Looks for an author in a domain that the message may not claim.
 * @returns the first; undefined where there is none.
 */
export function claimedAuthor(
  head: Buffer,
  fields: readonly FieldSpan[],
  foreign: (domain: string) => boolean,
): string | undefined {
  return firstAuthor(head, fields, (address) => foreign(domainOf(address)), false);
}

/** @param unreadable whether a field without an address counts. */
function firstAuthor(
  head: Buffer,
  fields: readonly FieldSpan[],
  wanted: (address: string) => boolean,
  unreadable: boolean,
): string | undefined {
  for (const field of fields) {
    if (field.name !== 'from') continue;
    const value = fieldValue(head, field);
    // Of what is too long to be read nobody can tell whom it claims.
    if (value.length > LONGEST) return value.slice(0, 100);
    const authors = addressparser(value, { flatten: true });
    if (authors.length === 0 && unreadable) return value.slice(0, 100);
    const found = authors.find(({ address }) => wanted(inAscii(address ?? '')));
    if (found) return (found.address || found.name || value).slice(0, 254);
  }
  return undefined;
}

/** An address that only a key for all domains may use (RFC 2606). */
const ANYONE = 'anyone@waypost.invalid';

function inAscii(address: string): string {
  const at = address.lastIndexOf('@');
  return at < 0 ? address : `${address.slice(0, at)}@${domainToASCII(address.slice(at + 1))}`;
}
