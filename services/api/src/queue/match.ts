import type { LaneJob } from '@waypost/mail';
import { fitsMail } from '@waypost/shaping';
import { z } from 'zod';

/** A `MailMatch` as it comes from outside. */
export const mailMatchSchema = z.strictObject({
  site: z.string().max(300).optional(),
  domain: z.string().max(255).optional(),
  tenant: z.string().max(255).optional(),
  sender: z.string().max(255).optional(),
  tag: z.string().max(600).optional(),
});

/** Which jobs in the lanes are meant. */
export const matchSchema = mailMatchSchema.extend({
  status: z.enum(['waiting', 'deferred', 'active', 'unknown']).optional(),
  /** Seconds since it was received, at least. */
  older_than: z.coerce.number().int().min(0).optional(),
});
export type Match = z.output<typeof matchSchema>;

/** `unknown` is no place in a lane: it means jobs with recipients that an operator is to decide about. */
export type JobStatus = Exclude<NonNullable<Match['status']>, 'unknown'>;

export function fitsJob(job: LaneJob, status: JobStatus, match: Match, now: number): boolean {
  return (
    (match.status === undefined || match.status === status) &&
    (match.older_than === undefined || now - job.receivedAt >= match.older_than * 1000) &&
    fitsMail(job, match)
  );
}
