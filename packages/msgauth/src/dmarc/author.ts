import { parseAddresses } from '@waypost/mime';
import { toName } from '../names.js';
import { type HeaderSection, unfolded } from '../section.js';

/** Whom a message says it is from. */
export interface Authors {
  /** Domains of the mailboxes of From, each once, in lower case as A-labels. */
  readonly domains: readonly string[];
  /** Why the author cannot be told for sure; DMARC is then checked for each domain there is. */
  readonly doubt?: 'no From' | 'several From fields' | 'several author domains' | 'invalid From' | undefined;
}

/** Finds the author domains (RFC 7489 §6.6.1, RFC 9989 §5.3.1). */
export function readAuthors(section: HeaderSection): Authors {
  const fields = section.byName.get('from') ?? [];
  if (fields.length === 0) return { domains: [], doubt: 'no From' };
  const mailboxes = fields.flatMap((field) => parseAddresses(unfolded(section, field)));
  const found = mailboxes.map(({ address }) => domainOf(address));
  const domains = [...new Set(found.filter((domain) => domain !== undefined))];
  if (fields.length > 1) return { domains, doubt: 'several From fields' };
  if (domains.length === 0 || found.includes(undefined)) return { domains, doubt: 'invalid From' };
  return domains.length > 1 ? { domains, doubt: 'several author domains' } : { domains };
}

/** @returns undefined where it has none, or where readers may take it for different ones. */
function domainOf(address: string): string | undefined {
  const bare = address.replace(/^"(?:[^"\\]|\\.)*"/, 'quoted');
  const parts = bare.split('@');
  return parts.length === 2 && parts[0] ? toName(parts[1] ?? '') : undefined;
}
