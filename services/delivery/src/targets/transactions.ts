import type { BounceSettings } from '@waypost/config';
import type { JobRecipient, LaneJob } from '@waypost/mail';
import { bounceAddress, type ReturnPath, returnPath, TRACE_FIELD, tokenOf } from '@waypost/verp';

/** Recipients that can share a transaction, and where their bounces come back to. */
export interface Group {
  readonly rcpts: readonly JobRecipient[];
  readonly path?: ReturnPath | undefined;
}

/**
 * Parts the recipients of a job into transactions: a client states one NOTIFY and ORCPT for all (nodemailer's limit, not
 * SMTP's), and one reverse-path.
 * @param limit recipients in one transaction.
 */
export function groups(
  job: LaneJob,
  rcpts: readonly JobRecipient[],
  limit: number,
  bounces: BounceSettings | undefined,
): Group[] {
  const parts = new Map<string, { rcpts: JobRecipient[]; path: ReturnPath | undefined }>();
  for (const rcpt of rcpts) {
    const path = bounces && !job.inbound ? returnPath(bounces, { ...job, to: rcpt.to }) : undefined;
    const own = path?.mode === 'recipient' ? rcpt.i : undefined;
    const key = rcpt.orcpt || rcpt.notify || path ? JSON.stringify([rcpt.orcpt, rcpt.notify, path?.domain, own]) : '';
    const part = parts.get(key);
    if (part) part.rcpts.push(rcpt);
    else parts.set(key, { rcpts: [rcpt], path });
  }
  return [...parts.values()].flatMap(({ rcpts: all, path }) => {
    const found: Group[] = [];
    for (let at = 0; at < all.length; at += limit) found.push({ rcpts: all.slice(at, at + limit), path });
    return found;
  });
}

/**
 * @returns the reverse-path of a transaction, and the header field by which a report that returns the message is known to be
 *   about it. A single recipient has a token of his own, several share one.
 */
export function marksOf(
  job: LaneJob,
  { rcpts, path }: Group,
  bounces: BounceSettings | undefined,
): { readonly sender: string; readonly head: string } {
  const plain = { sender: job.sender, head: '' };
  if (!bounces || job.inbound || job.sender === '') return plain;
  const [only, ...others] = rcpts;
  const token = tokenOf(bounces, { id: job.id, ...(only && others.length === 0 ? { i: only.i } : {}) });
  if (token === undefined) return plain;
  return { sender: path ? bounceAddress(token, path.domain) : job.sender, head: `${TRACE_FIELD}: ${token}\r\n` };
}
