import { type FieldSpan, headerFields } from '@waypost/mail';
import { chosenFields, type DkimKey, type SignedContent } from './dkim.js';
import { relaxedField } from './relaxed.js';
import { signedField } from './sign.js';
import { parseTags, type Tag } from './tags.js';

/** What the verifier found of the chain that a message came with. */
export type ChainStatus = 'none' | 'pass' | 'fail';

export interface ArcInput extends SignedContent {
  /** The value of an Authentication-Results field of ours, its authserv-id first; may be folded. */
  readonly results: string;
  readonly chain: ChainStatus;
  /** Seconds since the epoch. */
  readonly at: number;
}

/** A chain has no more sets than this (RFC 8617 §4.2.1). */
const MOST_SETS = 50;
/** The fields of a set, in the order in which a seal covers them (RFC 8617 §5.1.1). */
const ORDER = ['arc-authentication-results', 'arc-message-signature', 'arc-seal'];
const SEAL = 2;

/**
 * Makes the next set of a message's ARC chain (RFC 8617 §5.1), as whoever changes a message on its way does.
 * @param signed names of the fields that the message signature covers, in lower case.
 * @returns the set's three fields in the order to put them before the message, the last one first on top; undefined where
 *   no set may be added: the chain was sealed as broken before, or is full.
 */
export async function arcSeal(
  { header, bodyHash, results, chain, at }: ArcInput,
  key: DkimKey,
  signed: readonly string[],
): Promise<[string, string, string] | undefined> {
  const sets = readSets(header);
  const last = Math.max(0, ...sets.keys());
  if (last >= MOST_SETS || sets.get(last)?.ended) return undefined;
  const instance = String(last + 1);
  const status = last === 0 ? 'none' : chain === 'pass' ? 'pass' : 'fail';
  const aar = `ARC-Authentication-Results: i=${instance}; ${results.trim()}`;
  const { names, canonical } = chosenFields(header, { signed, oversigned: [], sealed: [] });
  const tags: readonly Tag[] = [
    ['a', `${key.algorithm}-sha256`],
    ['b', ''],
    ['d', key.domain],
    ['i', instance],
    ['s', key.selector],
    ['t', String(at)],
  ];
  const ams = await signedField(
    'ARC-Message-Signature',
    canonical,
    key,
    byName(...tags, ['bh', bodyHash], ['c', 'relaxed/relaxed'], ['h', names.join(':')]),
  );
  // What a broken chain holds is not vouched for (RFC 8617 §5.1.1).
  const before = status === 'pass' ? [...sets].sort(([a], [b]) => a - b).flatMap(([, { fields }]) => fields) : [];
  const covered = [...before, relaxedField(aar), relaxedField(ams)].map((field) => `${field}\r\n`).join('');
  const seal = await signedField('ARC-Seal', covered, key, byName(...tags, ['cv', status]));
  return [aar, ams, seal];
}

/** The order of tags is free; this one is what other signers of ARC write. */
const byName = (...tags: Tag[]) => tags.sort(([a], [b]) => (a < b ? -1 : 1));

interface ArcSet {
  /** In relaxed form, in the order of a seal. */
  readonly fields: readonly string[];
  /** Its seal says that the chain is broken: nothing comes after it. */
  readonly ended: boolean;
}

/** @returns the sets by their instance; of a set that has a field twice or lacks one, what there is. */
function readSets(header: Buffer): Map<number, ArcSet> {
  const text = header.toString('latin1');
  const sets = new Map<number, { place: number; field: string; ended: boolean }[]>();
  for (const span of headerFields(header, header.length)) {
    const place = ORDER.indexOf(span.name);
    const instance = place < 0 ? undefined : instanceOf(text, span);
    if (instance === undefined) continue;
    const field = relaxedField(text.slice(span.start, span.end));
    const ended =
      place === SEAL &&
      parseTags(field.slice(`${span.name}:`.length))
        ?.get('cv')
        ?.toLowerCase() === 'fail';
    const list = sets.get(instance) ?? [];
    list.push({ place, field, ended });
    sets.set(instance, list);
  }
  return new Map(
    [...sets].map(([instance, list]) => [
      instance,
      {
        fields: list.sort((a, b) => a.place - b.place).map(({ field }) => field),
        ended: list.some(({ ended }) => ended),
      },
    ]),
  );
}

function instanceOf(text: string, { value, end }: FieldSpan): number | undefined {
  const found = /(?:^|;)[ \t\r\n]*i[ \t]*=[ \t]*(\d{1,2})[ \t\r\n]*(?:;|$)/.exec(text.slice(value, end))?.[1];
  const instance = Number(found);
  return found !== undefined && instance >= 1 && instance <= MOST_SETS ? instance : undefined;
}
