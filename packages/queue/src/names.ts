/** Every Redis name of the queues, in one place. */
export const LANE_PREFIX = 'wp:lane';
export const POLICY_PREFIX = 'wp:q';
/** Sorted set: lane → when it next has work, ms since the epoch. */
export const LANES_DUE = 'wp:lanes:due';
/** Sorted set: replica → until when it is believed alive, ms on Redis's clock. */
export const REPLICAS = 'wp:replicas';
/** Sorted set of the replicas that deliver, likewise. */
export const DELIVERERS = 'wp:deliverers';
/** Pub/sub channels. */
export const WAKE_LANES = 'wp:wake:lanes';
export const WAKE_POLICY = 'wp:wake:policy';
/** A lane that may get a lease now, or `*` where a suspension was lifted. */
export const LEASE_FREED = 'wp:wake:lease';

/** Sorted set of a limit's leases: `replica#n` → expiry, ms on Redis's clock. */
export const LEASE = 'wp:lease:';
/** Set of the limits that have leases now. */
export const LEASES = 'wp:leases';
/** Sorted set of a limit: lanes that wait for one of its leases → since when. */
export const WAITERS = 'wp:waiters:';
/** Sorted set: lane that a limit or a suspension holds back → until when at least, ms on Redis's clock. */
export const HELD_BACK = 'wp:held-back';
/** Connections that feedback allows a limit now; absent where it allows all. */
export const WINDOW = 'wp:window:';
/** Of a limit and a period: the theoretical arrival time of its next message, ms on Redis's clock. */
export const PACE = 'wp:pace:';
/** Hash of a limit and a period: slot → messages. */
export const QUOTA = 'wp:quota:';
/** Hash of a suspended scope: till, reason, by, and who probes it until when. */
export const HOLD = 'wp:hold:';
/** Sorted set: suspended scope → until when. */
export const HOLDS = 'wp:holds';
/** Hash: mail of a kind that is not to go for now, JSON. */
export const MAIL_HOLDS = 'wp:mail-holds';
/** Hash: scope → what it is slowed to, JSON. */
export const SLOWED = 'wp:slowed';
/** How often a rule met a scope lately. */
export const STRIKES = 'wp:strikes:';
/** Pub/sub: a scope was suspended, slowed or freed. */
export const SHAPE_CHANGED = 'wp:shape';
/** A lane's BullMQ queue name; BullMQ keeps `:` for its own keys. */
export const laneQueueName = (lane: string) => lane.replaceAll(':', '/');
