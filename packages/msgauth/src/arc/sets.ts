import type { FieldSpan } from '@waypost/mail';
import { fromOctets, toName } from '../names.js';
import { type HeaderSection, rawValue } from '../section.js';
import { readTags, spanOfTag, trimBlanks, withoutBlanks } from '../tags.js';

/** One hop of an Authenticated Received Chain (RFC 8617 §4.2). */
export interface ArcSet {
  readonly instance: number;
  readonly seal: Seal;
  readonly messageSignature: FieldSpan;
  readonly authenticationResults: FieldSpan;
}

/** An ARC-Seal, taken apart (RFC 8617 §4.1.3). */
export interface Seal {
  readonly field: FieldSpan;
  readonly type: 'rsa' | 'ed25519';
  readonly hash: 'sha256';
  readonly signature: Buffer;
  /** What the sealer found of the chain before it. */
  readonly status: string;
  readonly domain: string;
  readonly selector: string;
}

/** A chain that is broken by its form already. */
export interface BrokenChain {
  readonly wrong: string;
  /** The highest instance there is. */
  readonly instance: number;
}

const SEAL = 'arc-seal';
const MESSAGE_SIGNATURE = 'arc-message-signature';
const RESULTS = 'arc-authentication-results';
/** RFC 8617 §4.2.1. */
const MOST_SETS = 50;
const LONGEST = 65_536;
const INSTANCE = /^[ \t\r\n]*(\d{1,2})[ \t\r\n]*$/;
const RESULTS_INSTANCE = /^[ \t\r\n]*i[ \t\r\n]*=([ \t\r\n]*\d{1,2}[ \t\r\n]*);/;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

/**
 * Collects the sets of a message and checks that they are whole (RFC 8617 §5.2, steps 1 to 3).
 * @returns the sets by instance from 1 up; none where the message has no ARC fields.
 */
export function readSets(section: HeaderSection): ArcSet[] | BrokenChain {
  const [seals, signatures, results] = [SEAL, MESSAGE_SIGNATURE, RESULTS].map((name) => section.byName.get(name) ?? []);
  const most = Math.max(seals?.length ?? 0, signatures?.length ?? 0, results?.length ?? 0);
  if (most === 0) return [];
  if (most > MOST_SETS) return { wrong: 'more than 50 sets', instance: MOST_SETS };
  const bySeal = byInstance(section, seals ?? [], tagInstance);
  const bySignature = byInstance(section, signatures ?? [], tagInstance);
  const byResults = byInstance(section, results ?? [], resultsInstance);
  const instance = Math.max(0, ...[bySeal, bySignature, byResults].flatMap(({ fields }) => [...fields.keys()]));
  const bad = [bySeal, bySignature, byResults].find(({ wrong }) => wrong);
  if (bad?.wrong) return { wrong: bad.wrong, instance };
  const sets: ArcSet[] = [];
  for (let i = 1; i <= instance; i += 1) {
    const parts = [bySeal, bySignature, byResults].map(({ fields }) => fields.get(i));
    const [sealField, messageSignature, authenticationResults] = parts;
    if (!sealField || !messageSignature || !authenticationResults) return { wrong: `set ${i} is not whole`, instance };
    const seal = readSeal(section, sealField);
    if ('wrong' in seal) return { wrong: `seal ${i}: ${seal.wrong}`, instance };
    sets.push({ instance: i, seal, messageSignature, authenticationResults });
  }
  return sets;
}

interface ByInstance {
  readonly fields: ReadonlyMap<number, FieldSpan>;
  readonly wrong: string | undefined;
}

function byInstance(
  section: HeaderSection,
  list: readonly FieldSpan[],
  instanceOf: (value: string) => number | undefined,
): ByInstance {
  const fields = new Map<number, FieldSpan>();
  let wrong: string | undefined;
  for (const field of list) {
    const instance = instanceOf(rawValue(section, field));
    if (instance === undefined) wrong ??= `${field.name} without instance`;
    else if (fields.has(instance)) wrong ??= `${field.name} ${instance} twice`;
    else fields.set(instance, field);
  }
  return { fields, wrong };
}

function tagInstance(value: string): number | undefined {
  const span = spanOfTag(value, 'i');
  return span && numberIn(INSTANCE.exec(value.slice(span.start, span.end))?.[1]);
}

const resultsInstance = (value: string) => numberIn(RESULTS_INSTANCE.exec(value)?.[1]);

function numberIn(text: string | undefined): number | undefined {
  const instance = text === undefined ? 0 : Number(trimBlanks(text));
  return instance >= 1 && instance <= MOST_SETS ? instance : undefined;
}

function readSeal(section: HeaderSection, field: FieldSpan): Seal | { readonly wrong: string } {
  if (field.end - field.start > LONGEST) return { wrong: 'field too long' };
  const tags = readTags(rawValue(section, field));
  if ('wrong' in tags) return tags;
  const missing = ['a', 'b', 'cv', 'd', 'i', 's'].find((name) => !tags.has(name));
  if (missing) return { wrong: `no ${missing}=` };
  if (tags.has('h')) return { wrong: 'has h=' };
  const tag = (name: string) => tags.get(name) ?? '';
  const algorithm = /^(rsa|ed25519)-sha256$/i.exec(tag('a'))?.[1]?.toLowerCase();
  const [domain, selector] = [toName(fromOctets(tag('d'))), toName(fromOctets(tag('s')))];
  if (!algorithm) return { wrong: 'unknown algorithm' };
  if (!domain?.includes('.') || !selector) return { wrong: 'invalid d= or s=' };
  if (tags.has('t') && !/^\d{1,12}$/.test(tag('t'))) return { wrong: 'invalid t=' };
  const signature = withoutBlanks(tag('b'));
  if (!BASE64.test(signature)) return { wrong: 'invalid base64' };
  return {
    field,
    type: algorithm as Seal['type'],
    hash: 'sha256',
    signature: Buffer.from(signature, 'base64'),
    status: tag('cv').toLowerCase(),
    domain,
    selector,
  };
}
