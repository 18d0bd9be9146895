/** Every Redis name of the queues, in one place. */
export const LANE_PREFIX = 'wp:lane';
export const POLICY_PREFIX = 'wp:q';
/** Sorted set: lane → when it next has work, ms since the epoch. */
export const LANES_DUE = 'wp:lanes:due';
/** Sorted set: replica → until when it is believed alive, ms on Redis's clock. */
export const REPLICAS = 'wp:replicas';
/** Pub/sub channels. */
export const WAKE_LANES = 'wp:wake:lanes';
export const WAKE_POLICY = 'wp:wake:policy';
export const LEASE_FREED = 'wp:wake:lease';

/** Sorted set of a lane's leases: `replica#n` → expiry, ms on Redis's clock. */
export const leaseKey = (lane: string) => `wp:lease:{${lane}}`;
/** A lane's BullMQ queue name; BullMQ keeps `:` for its own keys. */
export const laneQueueName = (lane: string) => lane.replaceAll(':', '/');
