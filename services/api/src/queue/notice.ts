import type { Config } from '@waypost/config';
import { type LaneJob, type RecipientStatus, wantsDsn } from '@waypost/mail';
import { leaving, type Spool } from '@waypost/spool';
import { beginningOf, type Committer, makeNotice } from '@waypost/store';

export interface NoticeDeps {
  readonly spool: Spool;
  readonly committer: Committer;
  readonly config: () => Config;
}

/** The sender hears of a bounce as of any other. */
export async function notice(
  job: LaneJob,
  open: LaneJob['rcpts'],
  reply: NonNullable<RecipientStatus['reply']>,
  deps: NoticeDeps,
) {
  const told = open.filter(({ notify }) => wantsDsn('failed', job.sender, notify));
  if (told.length === 0 || job.inbound) return [];
  const original = await deps.spool
    .read(job.id, job.ref)
    .then((body) => beginningOf(leaving(body, job)))
    .catch(() => Buffer.alloc(0));
  const about = told.map(({ to, orcpt }) => ({
    address: to,
    action: 'failed' as const,
    reply,
    ...(orcpt ? { orcpt } : {}),
  }));
  const made = await makeNotice(deps.spool, deps.config().server.hostname, job, about, original);
  return deps.committer.commands([made], { once: true });
}
