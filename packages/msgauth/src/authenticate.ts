import { type ArcFinding, checkArc, NO_CHAIN } from './arc/check.js';
import type { Octets } from './dkim/canonical.js';
import { checkDkim, type DkimFinding, type DkimSettings } from './dkim/check.js';
import type { KeyCache } from './dkim/key.js';
import { createBodyHashes } from './dkim/verify.js';
import { readAuthors } from './dmarc/author.js';
import { checkDmarc, type DmarcFinding } from './dmarc/check.js';
import type { OrgDomainWay } from './dmarc/discover.js';
import type { Resolve } from './resolve.js';
import { formatResults } from './results.js';
import { readSection } from './section.js';
import { checkSpf, type SpfFinding } from './spf/check.js';

/** A message as it came in. */
export interface AuthInput {
  /** With CRLF line ends; its header section at least, where `open` gives the whole. */
  readonly message: Buffer;
  /** The whole message anew at each call, where it is not to be held in memory. */
  readonly open?: (() => Promise<Octets>) | undefined;
  /** The client's address. */
  readonly remoteAddress: string;
  readonly helo: string;
  /** The reverse-path without angle brackets; empty for the null one. */
  readonly sender: string;
}

export interface AuthSettings extends DkimSettings {
  /** Our name in Authentication-Results (RFC 8601 §2.5). */
  readonly authserv: string;
  readonly orgDomain: OrgDomainWay;
}

export interface AuthDeps {
  readonly resolve: Resolve;
  readonly keys: KeyCache;
  readonly settings: AuthSettings;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** From 0 to 1. */
  readonly random?: () => number;
}

/** Who a message is from, as far as can be told. */
export interface AuthFindings {
  readonly spf: SpfFinding;
  /** One for each signature, in the order they stand in. */
  readonly dkim: readonly DkimFinding[];
  readonly dmarc: DmarcFinding;
  readonly arc: ArcFinding;
  /** The value of an Authentication-Results field, folded. */
  readonly header: string;
}

/** Checks SPF, DKIM, ARC and DMARC of a message from outside. Never throws over what a message holds or DNS answers. */
export async function authenticate(input: AuthInput, deps: AuthDeps): Promise<AuthFindings> {
  const { resolve, settings, keys, now = Date.now, random = Math.random } = deps;
  const { remoteAddress, helo, sender } = input;
  const section = readSection(input.message);
  const checkingSpf = checkSpf({ ip: remoteAddress, helo, sender, resolve, receiver: settings.authserv });
  if (!section) return unreadable(await checkingSpf, input, settings);
  const bodies = createBodyHashes(section, input.open);
  const dkimDeps = { resolve, keys, now };
  const [spf, dkim, arc] = await Promise.all([
    checkingSpf,
    checkDkim(section, bodies, settings, dkimDeps),
    checkArc(section, bodies, settings, dkimDeps),
  ]);
  const authors = readAuthors(section);
  const dmarc = await checkDmarc({ authors, spf, dkim }, { resolve, orgDomain: settings.orgDomain, random });
  return { spf, dkim, dmarc, arc, header: formatResults(settings.authserv, { spf, dkim, dmarc, arc, remoteAddress }) };
}

/** Nobody who means well writes a header section of a mebibyte. */
function unreadable(spf: SpfFinding, { remoteAddress }: AuthInput, { authserv }: AuthSettings): AuthFindings {
  const dmarc: DmarcFinding = {
    result: 'permerror',
    reason: 'header section too large',
    domain: '',
    policy: 'none',
    disposition: 'none',
    alignedSpf: false,
    alignedDkim: [],
  };
  const found = { spf, dkim: [], dmarc, arc: NO_CHAIN };
  return { ...found, header: formatResults(authserv, { ...found, remoteAddress }) };
}
