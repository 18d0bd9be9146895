import type { Config } from '@waypost/config';
import type { LaneJob, MessageEvent } from '@waypost/mail';
import { addToLanes, laneJobId, type Settlement } from '@waypost/queue';
import { parseLane, planOf, type SiteFinder } from '@waypost/shaping';

export interface RehomeDeps {
  readonly sites: Pick<SiteFinder, 'find'>;
  readonly config: () => Config;
}

/** A domain whose MX set changes at each look stays where it is after so many moves. */
const MOVES = 3;

/**
 * A domain's mail belongs to the lane of its MX set. Where DNS was silent when it was routed, or the set has changed since,
 * the job moves on to the lane where the site's limits hold.
 * @returns the move, or undefined where the job is at home.
 */
export async function movedHome(
  { job, attempt }: { readonly job: LaneJob; readonly attempt: number },
  lane: string,
  { sites, config }: RehomeDeps,
): Promise<Settlement | undefined> {
  const { target, moved = 0 } = job;
  if (target.kind !== 'mx' || moved >= MOVES) return undefined;
  const base = await sites.find(target.domain);
  if (base === undefined || base === parseLane(lane).base) return undefined;
  const { tenant, tags, pool } = job;
  const home = planOf(config()).lane({ base, domain: target.domain, tenant, tags, pool });
  if (home === lane) return undefined;
  const now = Date.now();
  const event: MessageEvent = {
    type: 'Reroute',
    id: job.id,
    at: now,
    rcpts: job.rcpts.map(({ i }) => i),
    lane: home,
    detail: `from ${lane}: the MX hosts of ${target.domain} are those of this site`,
  };
  const jobId = laneJobId(job.id, job.rcpts[0]?.i ?? 0);
  return {
    outcomes: [],
    events: [event],
    movedTo: home,
    also: addToLanes([{ jobId, job: { ...job, lane: home, moved: moved + 1, tried: (job.tried ?? 0) + attempt - 1 } }]),
  };
}
