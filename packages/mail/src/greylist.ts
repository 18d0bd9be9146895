import { isTransient, type Reply } from './reply.js';

/** How greylisting servers put it, in the default texts of postgrey, sqlgrey, milter-greylist, rspamd, gld, spamd and others. */
const SAID = /\bgr[ae]y[ -]?list|\bcome back (?:later|in|after)\b|\b(?:unknown|new) triplet\b/i;

/**
 * @returns whether a reply puts off what it does not know yet, to see whether it comes again (RFC 6647): it will be taken when it
 *   does, after some minutes.
 */
export function isGreylisting(reply: Reply): boolean {
  return isTransient(reply) && reply.code !== 421 && SAID.test(reply.text);
}
