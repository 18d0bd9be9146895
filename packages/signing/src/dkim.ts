import type { PrivateKey } from '@waypost/config';
import { type FieldSpan, headerFields } from '@waypost/mail';
import { relaxedField } from './relaxed.js';
import { signedField } from './sign.js';

/** A key and the name under which its public half stands in DNS. */
export interface DkimKey extends PrivateKey {
  /** `d=`, ASCII. */
  readonly domain: string;
  readonly selector: string;
}

/** Which header fields a signature covers; names in lower case. */
export interface SignedFields {
  /** Each one that is there is signed. */
  readonly signed: readonly string[];
  /** Signed once more than it is there, so that none can be added; from the fields signed. */
  readonly oversigned: readonly string[];
  /** Likewise, but only where it is there: others downstream rightly add it where it is not. */
  readonly sealed: readonly string[];
}

/** What is signed of a message: its header section, and of its body the hash. */
export interface SignedContent {
  readonly header: Buffer;
  /** SHA-256 of the relaxed body in base64. */
  readonly bodyHash: string;
}

export interface DkimTimes {
  /** Seconds since the epoch. */
  readonly at: number;
  /** Seconds after which the signature is void; never where absent. */
  readonly lifetime?: number | undefined;
}

/**
 * Signs a message (RFC 6376, RFC 8463): relaxed/relaxed, all of the body. What is hashed is hashed once for all keys.
 * @returns a DKIM-Signature field for each key, folded, without CRLF at the end.
 */
export async function dkimSign(
  message: SignedContent,
  keys: readonly DkimKey[],
  fields: SignedFields,
  { at, lifetime }: DkimTimes,
): Promise<string[]> {
  const { names, canonical } = chosenFields(message.header, fields);
  return Promise.all(
    keys.map((key) =>
      signedField('DKIM-Signature', canonical, key, [
        ['v', '1'],
        ['a', `${key.algorithm}-sha256`],
        ['c', 'relaxed/relaxed'],
        ['d', key.domain],
        ['s', key.selector],
        ['t', String(at)],
        ...(lifetime === undefined ? [] : [['x', String(at + lifetime)] as const]),
        ['h', names.join(':')],
        ['bh', message.bodyHash],
        ['b', ''],
      ]),
    ),
  );
}

/** Chooses the fields that are signed: those of one name from the last to the first (RFC 6376 §5.4.2). */
export function chosenFields(header: Buffer, { signed, oversigned, sealed }: SignedFields) {
  const text = header.toString('latin1');
  const byName = new Map<string, FieldSpan[]>();
  for (const field of headerFields(header, header.length)) {
    const list = byName.get(field.name);
    if (list) list.push(field);
    else byName.set(field.name, [field]);
  }
  const names: string[] = [];
  let canonical = '';
  for (const name of signed) {
    const found = byName.get(name) ?? [];
    for (const { start, end } of found.toReversed()) {
      names.push(name);
      canonical += `${relaxedField(text.slice(start, end))}\r\n`;
    }
    if (oversigned.includes(name) || (found.length > 0 && sealed.includes(name))) names.push(name);
  }
  return { names, canonical };
}
