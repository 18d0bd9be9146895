import { canonicalField } from '../dkim/canonical.js';
import { type DkimDeps, type DkimSettings, judge, unusable } from '../dkim/check.js';
import { findKey } from '../dkim/key.js';
import { readSignature } from '../dkim/signature.js';
import { type BodyHashes, verifies, withoutSignature } from '../dkim/verify.js';
import { type HeaderSection, rawField, unfolded } from '../section.js';
import { type ArcSet, readSets } from './sets.js';

/** Who sealed a message, and what they say they found. */
export interface ArcSealer {
  readonly instance: number;
  readonly domain: string;
  readonly selector: string;
  /** Their ARC-Authentication-Results, without the instance. */
  readonly results: string;
}

/** What came of a message's chain (RFC 8617 §5.2). */
export interface ArcFinding {
  readonly result: 'none' | 'pass' | 'fail';
  /** Why it failed. */
  readonly reason?: string | undefined;
  /** The highest instance; 0 where there is none. */
  readonly instance: number;
  /** The chain failed at an earlier hop already, which its sealer says: validation ends there (§5.2, step 2). */
  readonly ended?: boolean | undefined;
  /** DNS failed for now. */
  readonly temporary?: boolean | undefined;
  /** From the first to the last; of chains that pass. */
  readonly sealers: readonly ArcSealer[];
}

export const NO_CHAIN: ArcFinding = { result: 'none', instance: 0, sealers: [] };

/** Validates the chain of a message. Never throws over what a message holds. */
export async function checkArc(
  section: HeaderSection,
  bodies: BodyHashes,
  { minBits }: Pick<DkimSettings, 'minBits'>,
  deps: DkimDeps,
): Promise<ArcFinding> {
  const sets = readSets(section);
  if ('wrong' in sets) return { result: 'fail', reason: sets.wrong, instance: sets.instance, sealers: [] };
  const newest = sets.at(-1);
  if (!newest) return NO_CHAIN;
  const fail = (reason: string, more: Partial<ArcFinding> = {}): ArcFinding => {
    return { result: 'fail', reason, instance: newest.instance, sealers: [], ...more };
  };
  const failed = sets.find(({ seal }) => seal.status === 'fail');
  if (failed) return fail(`sealed as failed at ${failed.instance}`, { ended: true });
  const wrong = sets.find(({ seal, instance }) => seal.status !== (instance === 1 ? 'none' : 'pass'));
  if (wrong) return fail(`seal ${wrong.instance}: wrong cv=`);
  const trouble =
    (await messageSignatureTrouble(section, newest, bodies, minBits, deps)) ??
    (await sealsTrouble(section, sets, minBits, deps));
  if (trouble) return fail(trouble.reason, trouble.temporary ? { temporary: true } : {});
  const sealers = sets.map(({ instance, seal, authenticationResults }) => ({
    instance,
    domain: seal.domain,
    selector: seal.selector,
    results: unfolded(section, authenticationResults).replace(/^[^;]*;\s*/, ''),
  }));
  return { result: 'pass', instance: newest.instance, sealers };
}

interface Trouble {
  readonly reason: string;
  readonly temporary?: boolean;
}

/** Only the newest signature covers the message as it came (RFC 8617 §5.2, step 4). */
async function messageSignatureTrouble(
  section: HeaderSection,
  { instance, messageSignature }: ArcSet,
  bodies: BodyHashes,
  minBits: number,
  deps: DkimDeps,
): Promise<Trouble | undefined> {
  const trouble = (reason: string, temporary = false): Trouble => ({
    reason: `message signature ${instance}: ${reason}`,
    temporary,
  });
  const signature = readSignature(section, messageSignature, 'arc');
  if ('wrong' in signature) return trouble(signature.wrong);
  if (signature.hash !== 'sha256') return trouble('unknown algorithm');
  if (signature.signed.includes('arc-seal')) return trouble('signs the seals');
  const answer = await findKey(signature.domain, signature.selector, deps);
  if (answer.kind !== 'key') return trouble(answer.why, unusable(answer).result === 'temperror');
  const settings = { minBits, partialBody: true };
  const judged = await judge(section, signature, answer, bodies, settings);
  if (judged.result === 'pass') return undefined;
  if (signature.saysWay) return trouble(judged.reason ?? judged.result);
  // The drafts' default was relaxed, and there are sealers that still count on it.
  const relaxed = { ...signature, headerWay: 'relaxed', bodyWay: 'relaxed' } as const;
  const again = await judge(section, relaxed, answer, bodies, settings);
  return again.result === 'pass' ? undefined : trouble(judged.reason ?? judged.result);
}

/** Each seal covers all sets up to its own (RFC 8617 §5.1.1), from the newest to the oldest. */
async function sealsTrouble(
  section: HeaderSection,
  sets: readonly ArcSet[],
  minBits: number,
  deps: DkimDeps,
): Promise<Trouble | undefined> {
  const lines = sets.map(({ authenticationResults, messageSignature, seal }) => {
    const [results, signature, sealed] = [authenticationResults, messageSignature, seal.field].map((field) =>
      canonicalField(rawField(section, field), 'relaxed'),
    );
    return { before: `${results}${signature}`, seal: sealed };
  });
  let covered = '';
  const data = sets.map(({ seal }, i) => {
    const line = lines[i];
    const whole = `${covered}${line?.before}${withoutSignature(section, seal.field, 'relaxed')}`;
    covered += `${line?.before}${line?.seal}`;
    return whole;
  });
  const answers = await Promise.all(sets.map(({ seal }) => findKey(seal.domain, seal.selector, deps)));
  for (const { instance, seal } of sets.toReversed()) {
    const trouble = (reason: string, temporary = false): Trouble => ({
      reason: `seal ${instance}: ${reason}`,
      temporary,
    });
    const answer = answers[instance - 1];
    if (answer?.kind !== 'key') return trouble(answer?.why ?? 'no key', answer?.kind === 'temporary');
    const { key } = answer;
    if (key.type !== seal.type || (key.hashes && !key.hashes.includes(seal.hash)))
      return trouble('key is for another use');
    if (key.type === 'rsa' && key.bits < minBits) return trouble(`weak key of ${key.bits} bits`);
    if (!verifies(data[instance - 1] ?? '', seal, key)) return trouble('did not verify');
  }
  return undefined;
}
