import type { LaneJob, MessageRecord } from '@waypost/mail';
import type { Evaluation } from './evaluate.js';
import type { Leaving } from './judge.js';
import { type RouteDeps, routeMessage } from './route.js';

/** @returns the lane jobs of all forms of a message. */
export async function routeForms(
  { meta, variants = [] }: MessageRecord,
  { open, findings }: Evaluation,
  { forms, drafts }: Leaving,
  deps: RouteDeps,
): Promise<{ jobId: string; job: LaneJob }[]> {
  const tags = findings.tags.length > 0 ? { tags: findings.tags } : {};
  // Whoever ends the message last drops all of it.
  const bodies = [meta.body, ...variants, ...drafts.map(({ ref }) => ref)];
  const jobs = await Promise.all(
    forms.map(({ rcpts, ...form }) => {
      const also = bodies.filter(({ variant }) => variant !== form.ref.variant);
      const mine = forms.length === 1 ? open : open.filter(({ i }) => rcpts.includes(i));
      return routeMessage({ ...meta, ...tags }, mine, { ...form, ...(also.length > 0 ? { also } : {}) }, deps);
    }),
  );
  return jobs.flat();
}
