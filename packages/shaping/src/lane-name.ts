/** A lane: a site, times the egress pool, times the limits of its own that some mail to it has. */
export interface LaneName {
  /** `mx:site`, `smtp:host:port`, `sink` …: where it leads. */
  readonly base: string;
  /** Egress pool; absent for the default one. */
  readonly pool?: string;
  /** Ids of the shaping rules that select by recipient domain, tenant or tag. */
  readonly classes: readonly string[];
}

/** @returns `base[@pool][#class[+class …]]`. */
export function formatLane({ base, pool, classes }: LaneName): string {
  return `${base}${pool ? `@${pool}` : ''}${classes.length > 0 ? `#${classes.join('&')}` : ''}`;
}

export function parseLane(lane: string): LaneName {
  const [place = '', classes] = lane.split('#');
  const [base = '', pool] = place.split('@');
  return { base, ...(pool ? { pool } : {}), classes: classes?.split('&') ?? [] };
}

/** @returns the name of the site of an `mx:` lane, or the host of one that leads to a smart host. */
export function hostOf(base: string): string | undefined {
  const [, host] = base.split(':');
  return base.startsWith('maildir') || base.startsWith('lmtp-unix') ? undefined : host;
}
