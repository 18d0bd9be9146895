import type { FieldSpan } from '@waypost/mail';
import { isWithin } from '../names.js';
import type { Resolve } from '../resolve.js';
import type { HeaderSection } from '../section.js';
import { findKey, type KeyAnswer, type KeyCache } from './key.js';
import { type BrokenSignature, readSignature, type Signature } from './signature.js';
import { type BodyHashes, verifiesHeader } from './verify.js';

/** Results of one signature as RFC 8601 §2.7.1 names them. */
export type DkimResult = 'pass' | 'fail' | 'policy' | 'neutral' | 'temperror' | 'permerror';

/** What came of one signature. */
export interface DkimFinding {
  readonly result: DkimResult;
  /** Why it did not pass. */
  readonly reason?: string | undefined;
  /** The signing domain (d=), in lower case as A-labels; empty where it has none. */
  readonly domain: string;
  readonly selector: string;
  readonly identity: string;
  /** Such as `rsa-sha256`. */
  readonly algorithm: string;
  readonly bits?: number | undefined;
  /** The first characters of the signature, which tell it from others of the same domain (RFC 6008). */
  readonly tag: string;
  /** The domain only tries DKIM. */
  readonly testing?: boolean | undefined;
}

export interface DkimDeps {
  readonly resolve: Resolve;
  readonly keys: KeyCache;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export interface DkimSettings {
  /** RSA keys with fewer bits do not count (RFC 8301 §3.2). */
  readonly minBits: number;
  /** Signatures of a message that are looked at. */
  readonly maxSignatures: number;
  /** Whether a signature may leave out the end of the body (l=), to which anyone can then add. */
  readonly partialBody: boolean;
}

/** RSA keys with more bits cost too much to verify with. */
const MOST_BITS = 8_192;
/** Seconds that clocks may differ. */
const SLACK = 300;
const FUTURE = 86_400;
const TAG = 8;

/** Verifies the DKIM signatures of a message, in the order they stand in. Never throws over what a message holds. */
export async function checkDkim(
  section: HeaderSection,
  bodies: BodyHashes,
  settings: DkimSettings,
  deps: DkimDeps,
): Promise<DkimFinding[]> {
  const fields = section.byName.get('dkim-signature') ?? [];
  return Promise.all(
    fields.slice(0, settings.maxSignatures).map((field) => checkField(section, field, bodies, settings, deps)),
  );
}

async function checkField(
  section: HeaderSection,
  field: FieldSpan,
  bodies: BodyHashes,
  settings: DkimSettings,
  deps: DkimDeps,
): Promise<DkimFinding> {
  const signature = readSignature(section, field, 'dkim');
  if ('wrong' in signature) return aboutBroken(signature);
  const { type, hash, domain, selector, identity } = signature;
  const about = { domain, selector, identity, algorithm: `${type}-${hash}`, tag: tagOf(signature) };
  // RFC 8301 §3.1.
  if (hash === 'sha1') return { result: 'policy', reason: 'weak algorithm', ...about };
  const late = untimely(signature, deps.now() / 1000);
  if (late) return { result: 'neutral', reason: late, ...about };
  const answer = await findKey(domain, selector, deps);
  if (answer.kind !== 'key') return { ...unusable(answer), ...about };
  const { bits, testing } = answer.key;
  const judged = await judge(section, signature, answer, bodies, settings);
  return { ...judged, ...about, bits, ...(testing ? { testing } : {}) };
}

type Judged = Pick<DkimFinding, 'result' | 'reason'>;

/** What is left once the key is there. ARC judges its message signatures by it as well. */
export async function judge(
  section: HeaderSection,
  signature: Signature,
  { key }: KeyAnswer & { kind: 'key' },
  bodies: BodyHashes,
  { minBits, partialBody }: Omit<DkimSettings, 'maxSignatures'>,
): Promise<Judged> {
  if (key.type !== signature.type) return { result: 'permerror', reason: 'key is for another algorithm' };
  if (key.hashes && !key.hashes.includes(signature.hash)) {
    return { result: 'permerror', reason: 'key is not for this hash algorithm' };
  }
  if (key.type === 'rsa' && key.bits < minBits) return { result: 'policy', reason: `weak key of ${key.bits} bits` };
  if (key.bits > MOST_BITS) return { result: 'policy', reason: `key of ${key.bits} bits` };
  if (key.exact && signature.identity && !isWithin(signature.domain, domainOf(signature.identity))) {
    return { result: 'permerror', reason: 'key is not for subdomains' };
  }
  const body = await bodies.of(signature);
  if (!body.digest.equals(signature.bodyHash)) return { result: 'fail', reason: 'body hash did not verify' };
  if (!verifiesHeader(section, signature, key)) return { result: 'fail', reason: 'signature did not verify' };
  if (signature.length !== undefined && signature.length < body.octets && !partialBody) {
    return { result: 'policy', reason: `${body.octets - signature.length} octets of the body are not signed` };
  }
  return { result: 'pass' };
}

const domainOf = (identity: string) => identity.slice(identity.lastIndexOf('@') + 1);
const tagOf = ({ signature }: Signature) => signature.toString('base64').slice(0, TAG);

function aboutBroken({ wrong, domain = '', selector = '' }: BrokenSignature): DkimFinding {
  return { result: 'neutral', reason: wrong, domain, selector, identity: '', algorithm: '', tag: '' };
}

export function unusable({ kind, why }: Exclude<KeyAnswer, { kind: 'key' }>): Judged {
  return { result: kind === 'temporary' ? 'temperror' : 'permerror', reason: why };
}

/** @param now seconds. */
function untimely({ at, expires }: Signature, now: number): string | undefined {
  if (at !== undefined && expires !== undefined && expires < at) return 'expires before it was made';
  if (expires !== undefined && expires + SLACK < now) return 'expired';
  return at !== undefined && at > now + FUTURE ? 'made in the future' : undefined;
}
