import type { FieldSpan } from '@waypost/mail';
import { fromOctets, isWithin, toName } from '../names.js';
import { type HeaderSection, rawValue } from '../section.js';
import { readTags, trimBlanks, withoutBlanks } from '../tags.js';
import type { Canonicalization } from './canonical.js';

/** A DKIM-Signature or an ARC-Message-Signature, taken apart (RFC 6376 §3.5, RFC 8617 §4.1.2). */
export interface Signature {
  readonly field: FieldSpan;
  readonly type: 'rsa' | 'ed25519';
  readonly hash: 'sha256' | 'sha1';
  readonly signature: Buffer;
  readonly bodyHash: Buffer;
  readonly domain: string;
  readonly selector: string;
  /** The i= of DKIM, `@domain` where it has none; the empty text in ARC. */
  readonly identity: string;
  readonly headerWay: Canonicalization;
  readonly bodyWay: Canonicalization;
  /** Whether c= says so. */
  readonly saysWay: boolean;
  /** Names of the signed fields, in lower case. */
  readonly signed: readonly string[];
  readonly length: number | undefined;
  /** Seconds since the epoch. */
  readonly at: number | undefined;
  readonly expires: number | undefined;
}

/** One that cannot be verified; what can be told of it for a report. */
export interface BrokenSignature {
  readonly wrong: string;
  readonly domain?: string | undefined;
  readonly selector?: string | undefined;
}

const REQUIRED = ['a', 'b', 'bh', 'd', 'h', 's'];
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;
const FIELD_NAME = /^[\x21-\x39\x3b-\x7e]+$/;
const CANONICALIZATION = /^(simple|relaxed)(?:\/(simple|relaxed))?$/i;
const ALGORITHM = /^(?:(rsa)-(sha1|sha256)|(ed25519)-(sha256))$/i;
/** Longest field that is read: one that names hundreds of fields and has a signature of 16,384 bits. */
const LONGEST = 65_536;

export function readSignature(
  section: HeaderSection,
  field: FieldSpan,
  kind: 'dkim' | 'arc',
): Signature | BrokenSignature {
  if (field.end - field.start > LONGEST) return { wrong: 'signature field too long' };
  const tags = readTags(rawValue(section, field));
  if ('wrong' in tags) return { wrong: tags.wrong };
  const tag = (name: string) => tags.get(name) ?? '';
  const domain = toName(fromOctets(tag('d')));
  const selector = toName(fromOctets(tag('s')));
  const broken = (wrong: string): BrokenSignature => ({ wrong, domain, selector });
  const missing = (kind === 'dkim' ? ['v', ...REQUIRED] : REQUIRED).find((name) => !tags.has(name));
  if (missing) return broken(`no ${missing}=`);
  if (kind === 'dkim' && tag('v') !== '1') return broken('incompatible version');
  if (!domain?.includes('.')) return broken('invalid d=');
  if (!selector) return broken('invalid s=');
  const algorithm = ALGORITHM.exec(tag('a'));
  if (!algorithm) return broken('unknown algorithm');
  const ways = CANONICALIZATION.exec(tags.get('c') ?? 'simple');
  if (!ways) return broken('unknown canonicalization');
  const wrong = wrongNumber(tags) ?? wrongQuery(tags.get('q'));
  if (wrong) return broken(wrong);
  // Some signers leave an empty name, which is no field's.
  const signed = namesIn(tag('h'));
  if (!signed.every((name) => FIELD_NAME.test(name))) return broken('invalid h=');
  const froms = signed.filter((name) => name === 'from').length;
  // Readers may show any of several From fields: a signature must be over all.
  if (froms < Math.max(1, section.byName.get('from')?.length ?? 0)) return broken('From is not signed');
  const [signature, bodyHash] = [withoutBlanks(tag('b')), withoutBlanks(tag('bh'))];
  if (!BASE64.test(signature) || !BASE64.test(bodyHash)) return broken('invalid base64');
  const identity = kind === 'arc' ? '' : identityOf(tags.get('i'), domain);
  if (identity === undefined) return broken('i= is not within d=');
  return {
    field,
    type: (algorithm[1] ?? algorithm[3] ?? '').toLowerCase() as Signature['type'],
    hash: (algorithm[2] ?? algorithm[4] ?? '').toLowerCase() as Signature['hash'],
    signature: Buffer.from(signature, 'base64'),
    bodyHash: Buffer.from(bodyHash, 'base64'),
    domain,
    selector,
    identity,
    headerWay: wayOf(ways[1]),
    bodyWay: wayOf(ways[2]),
    saysWay: tags.has('c'),
    signed,
    length: numberOf(tags.get('l')),
    at: numberOf(tags.get('t')),
    expires: numberOf(tags.get('x')),
  };
}

const namesIn = (list: string) =>
  list
    .split(':')
    .map((name) => trimBlanks(name).toLowerCase())
    .filter((name) => name !== '');
const wayOf = (text = 'simple') => text.toLowerCase() as Canonicalization;
const numberOf = (text: string | undefined) => (text === undefined ? undefined : Number(text));

function wrongNumber(tags: ReadonlyMap<string, string>): string | undefined {
  const forms: [string, RegExp][] = [
    ['l', /^\d{1,76}$/],
    ['t', /^\d{1,12}$/],
    ['x', /^\d{1,12}$/],
  ];
  const bad = forms.find(([name, form]) => tags.has(name) && !form.test(tags.get(name) ?? ''));
  return bad && `invalid ${bad[0]}=`;
}

/** DNS is the one way to a key; other ways may be named beside it. */
function wrongQuery(methods: string | undefined): string | undefined {
  const known = methods === undefined || methods.split(':').some((one) => trimBlanks(one).toLowerCase() === 'dns/txt');
  return known ? undefined : 'unknown query method';
}

/** @returns the agent or user that signed; undefined where it is outside the signing domain (RFC 6376 §3.5, i=). */
function identityOf(encoded: string | undefined, domain: string): string | undefined {
  if (encoded === undefined) return `@${domain}`;
  const text = fromOctets(
    withoutBlanks(encoded).replace(/=([0-9A-F]{2})/gi, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    ),
  );
  const at = text.lastIndexOf('@');
  const own = at < 0 ? undefined : toName(text.slice(at + 1));
  return own && isWithin(own, domain) ? `${text.slice(0, at)}@${own}` : undefined;
}
