import type { Report, ReportedRecipient } from '@waypost/bounces';

/** The message that a report is about. */
export interface Subject {
  readonly id: string;
  /** The recipient, where the report's token is his own. */
  readonly i?: number;
  /** A token of ours says so; else the report only claims it, as any stranger could. */
  readonly proven: boolean;
}

/** What a report says of one recipient. */
export interface Finding {
  /** Index in the envelope; absent where nobody knows which it is. */
  readonly i?: number;
  readonly reported: ReportedRecipient;
  /** It may keep the address from being written to: nobody but its owner's host could say it. */
  readonly sure: boolean;
}

const RANKS = { failed: 2, delayed: 1, delivered: 0, relayed: 0, expanded: 0 } as const;

/**
 * Finds whom a report is about. A token of one recipient alone is about him, whatever address the report names: his host may
 * know him by another. One that several have seen is about those that the report names.
 * @param addresses of the message's envelope, in order; empty where they are not known any more.
 */
export function findings(report: Report, { i, proven }: Subject, addresses: readonly string[]): Finding[] {
  const all = report.recipients.length > 0 ? report.recipients : [NAMELESS];
  const only = i ?? (addresses.length === 1 ? 0 : undefined);
  if (only !== undefined) {
    const named = all.filter((one) => isNamed(one, addresses[only]));
    const [reported = NAMELESS] = worstFirst(named.length > 0 ? named : all);
    return [{ i: only, reported, sure: proven && addresses[only] !== undefined }];
  }
  const found = new Map<number, Finding>();
  for (const reported of worstFirst(all)) {
    const at = addresses.findIndex((address) => isNamed(reported, address));
    if (!found.has(at)) found.set(at, { reported, sure: false, ...(at < 0 ? {} : { i: at }) });
  }
  // One whom nobody knows adds nothing where others are known.
  if (found.size > 1) found.delete(-1);
  return [...found.values()];
}

/** A complaint may hide who complained (RFC 5965 §3.2). */
const NAMELESS: ReportedRecipient = { recipient: '', action: 'delivered', text: '', cause: 'feedback', hard: false };

const worstFirst = (list: readonly ReportedRecipient[]) =>
  [...list].sort((one, other) => RANKS[other.action] - RANKS[one.action]);

function isNamed({ recipient, finalRecipient }: ReportedRecipient, address: string | undefined): boolean {
  const lower = address?.toLowerCase();
  return lower !== undefined && [recipient, finalRecipient].some((one) => one?.toLowerCase() === lower);
}
