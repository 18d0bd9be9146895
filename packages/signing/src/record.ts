import type { PrivateKey } from '@waypost/config';
import { parseTags } from './tags.js';

/** Octets that one string of a TXT record holds (RFC 1035 §3.3.14). */
const STRING = 255;

/** @returns where the record of a key stands. */
export const recordName = (selector: string, domain: string) => `${selector}._domainkey.${domain}`;

/** @returns the record's text (RFC 6376 §3.6.1, RFC 8463 §4). */
export function recordText({ algorithm, publicKey }: Pick<PrivateKey, 'algorithm' | 'publicKey'>): string {
  return `v=DKIM1; k=${algorithm}; p=${publicKey}`;
}

/** @returns the record as a line of a zone file, its text in strings of 255 octets at most. */
export function zoneLine(name: string, text: string): string {
  const strings = text.match(new RegExp(`.{1,${STRING}}`, 'g')) ?? [];
  return `${name}. IN TXT ( ${strings.map((part) => `"${part}"`).join(' ')} )`;
}

/**
 * Compares what DNS has at a key's name with the key.
 * @param texts of all TXT records there.
 * @returns what is wrong, a sentence each; none where signatures of the key verify.
 */
export function recordProblems(texts: readonly string[], key: Pick<PrivateKey, 'algorithm' | 'publicKey'>): string[] {
  const [text] = texts;
  if (text === undefined) return ['there is no record'];
  if (texts.length > 1) return [`there are ${texts.length} records; verifiers may take any of them, so leave one`];
  const tags = parseTags(text);
  if (!tags) return ['the record is no list of tags'];
  const problems: string[] = [];
  const list = (tag: string) =>
    tags
      .get(tag)
      ?.split(':')
      .map((one) => one.trim());
  if (tags.has('v') && (tags.get('v') !== 'DKIM1' || [...tags.keys()][0] !== 'v'))
    problems.push('it does not begin with v=DKIM1');
  const type = tags.get('k') ?? 'rsa';
  const inDns = tags.get('p')?.replace(/\s+/g, '');
  if (type !== key.algorithm) problems.push(`it says k=${type}, and the key is ${key.algorithm}`);
  else if (inDns === '') problems.push('the key is revoked (p= is empty)');
  else if (inDns !== key.publicKey) problems.push('it holds another public key');
  if (list('h')?.includes('sha256') === false) problems.push('its h= does not allow sha256');
  if (list('s')?.some((one) => one === '*' || one === 'email') === false) problems.push('its s= does not allow mail');
  if (list('t')?.includes('y')) problems.push('it says t=y (testing): verifiers may ignore the signature');
  return problems;
}
