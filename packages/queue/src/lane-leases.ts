import type { Command, RedisHandle } from '@waypost/redis';
import type { Offer } from '@waypost/shaping';
import { LEASE_FREED } from './names.js';
import { Permits } from './permits.js';
import { execUntilDone } from './persist.js';
import type { LaneHandler } from './port.js';
import { acquireLease, releaseLease, renewLeases } from './scripts/lease.js';

export interface LaneLeasesOptions {
  readonly redis: RedisHandle;
  readonly replica: string;
  readonly handler: LaneHandler;
  readonly signal: AbortSignal;
}

/** A session asks for its lease anew after this, ms, so that a changed configuration holds for it too. */
const TERM = 60_000;
/** A lease outlives its holder by this at most, ms. */
const LEASE_DURATION = 30_000;
/** Permits are given for no longer ahead than this, ms: what a session that dies holds is lost. */
const HORIZON = 1_000;
let serial = 0;

/** One session's right to a connection, and to messages at a rate where there is one. */
export interface Lease {
  readonly name: string;
  readonly offer: Offer;
  /** Absent where no rate is set. */
  readonly permits?: Permits;
  /** The suspended scope that this session is to try first, if any. */
  readonly probe?: string;
}

/** What becomes of a lease while it is held. Times are of the monotonic clock, ms. */
interface Standing {
  readonly lease: Lease;
  readonly since: number;
  /** Redis had it, or had it renewed, no earlier than this. */
  confirmedAt: number;
  reshaped: boolean;
}

/** Why there is no lease or permit now. */
export interface Refusal {
  readonly reason: 'suspended' | 'probing' | 'connections' | 'rate' | 'offers';
  /** The limit or scope. */
  readonly key: string;
  /** ms until it may be different. */
  readonly wait: number;
}

/** The leases this process holds of one lane. Each stands for one session, thus one connection at most. */
export class LaneLeases {
  readonly #held = new Map<string, Standing>();
  /** Those on their way back: renewing one would bring it to life again with nobody to release it. */
  readonly #leaving = new Set<string>();
  #renewal: NodeJS.Timeout | undefined;

  constructor(
    private readonly lane: string,
    private readonly options: LaneLeasesOptions,
  ) {}

  get size(): number {
    return this.#held.size;
  }

  /** Sessions worth having over all replicas. */
  get limit(): number {
    return this.options.handler.limit(this.lane);
  }

  /** Egress sources, or whatever else the lane can be served from. */
  get ways(): number {
    return this.options.handler.offers(this.lane).length;
  }

  /** Notes that the terms of a scope have changed. */
  reshaped(scope: string): void {
    for (const standing of this.#held.values()) standing.reshaped ||= standing.lease.offer.scopes.includes(scope);
  }

  /** Whether a lease is to be asked for anew before the next message. */
  outdated({ name }: Lease): boolean {
    const standing = this.#held.get(name);
    return !standing || standing.reshaped || performance.now() - standing.since > TERM || this.#left(standing) <= 0;
  }

  /** Whether Redis may have given a lease to others, as it was away for as long as one lasts. */
  lapsed({ name }: Lease): boolean {
    const standing = this.#held.get(name);
    return !standing || this.#left(standing) <= 0;
  }

  /** Calls `then` once a lease has lapsed. @returns what calls that off. */
  whenLapsed({ name }: Lease, then: () => void): () => void {
    const standing = this.#held.get(name);
    if (!standing) return () => undefined;
    let timer: NodeJS.Timeout;
    const look = () => {
      const left = this.#left(standing);
      if (left <= 0) return then();
      timer = setTimeout(look, Math.ceil(left));
      timer.unref();
    };
    look();
    return () => clearTimeout(timer);
  }

  /** ms for which a lease is sure to stand. */
  #left({ confirmedAt }: Standing): number {
    return confirmedAt + LEASE_DURATION - performance.now();
  }

  /** Asks for `count` leases in one round trip. */
  async acquire(count: number): Promise<{ granted: Lease[]; refusal?: Refusal }> {
    const names = Array.from({ length: count }, () => `${this.options.replica}#${++serial}`);
    const offers = this.options.handler.offers(this.lane);
    const since = performance.now();
    const replies = await this.options.redis.group.exec(
      names.map((name) => ask({ lane: this.lane, holder: name, want: 1, offers, lease: true })),
    );
    const granted: Lease[] = [];
    let refusal: Refusal | undefined;
    replies.forEach((reply, at) => {
      const answer = parseAnswer(reply);
      const offer = offers[answer.offer - 1];
      if (!offer) {
        refusal = answer;
        return;
      }
      const lease = toLease(names[at] as string, offer, answer);
      this.#held.set(lease.name, { lease, since, confirmedAt: since, reshaped: false });
      granted.push(lease);
    });
    if (granted.length > 0 && !this.#renewal) {
      this.#renewal = setInterval(() => void this.#renew(), LEASE_DURATION / 3);
      this.#renewal.unref();
    }
    return { granted, ...(refusal ? { refusal } : {}) };
  }

  /** Asks for permits to go on with a lease. @returns undefined where some were given. */
  async permit(lease: Lease): Promise<Refusal | undefined> {
    const { offer, permits } = lease;
    if (!permits) return undefined;
    const [reply] = await this.options.redis.group.exec([
      ask({
        lane: this.lane,
        holder: lease.name,
        want: permits.want,
        lost: permits.takeLost(),
        offers: [offer],
        lease: false,
        others: this.ways > 1,
      }),
    ]);
    const answer = parseAnswer(reply);
    if (answer.offer === 0) return answer;
    permits.grant(answer.permits, answer.delay, answer.gap);
    return undefined;
  }

  /**
   * Gives a lease back, however long Redis is away.
   * @param also runs in the same transaction.
   * @returns the replies to `also`; none where this process ends before Redis is back.
   */
  async release(lease: Lease, also: readonly Command[] = []): Promise<unknown[]> {
    const { redis, signal } = this.options;
    this.#leaving.add(lease.name);
    const limits = lease.offer.limits.filter(({ connections }) => connections !== undefined);
    const unused = lease.permits?.unused ?? 0;
    const quotas =
      unused === 0
        ? []
        : lease.offer.limits.flatMap(({ key, rates }) => rates.filter(isQuota).map(({ period }) => [key, period]));
    const args = [
      lease.name,
      LEASE_FREED,
      lease.probe ?? '',
      unused,
      JSON.stringify(quotas),
      ...limits.map(({ key }) => key),
    ];
    const release = { name: releaseLease.name, script: releaseLease, args };
    const replies = await execUntilDone(redis.group, [release, ...also], { signal }).catch(() => []);
    this.#held.delete(lease.name);
    this.#leaving.delete(lease.name);
    if (this.#held.size === 0) {
      clearInterval(this.#renewal);
      this.#renewal = undefined;
    }
    return replies.slice(1);
  }

  async #renew(): Promise<void> {
    const standing = [...this.#held.values()].filter(
      (one) => !this.#leaving.has(one.lease.name) && this.#left(one) > 0,
    );
    const pairs = standing.flatMap(({ lease: { name, offer } }) =>
      offer.limits.filter(({ connections }) => connections !== undefined).flatMap(({ key }) => [key, name]),
    );
    if (pairs.length === 0) return;
    const asked = performance.now();
    const args = [LEASE_DURATION, ...pairs];
    try {
      await this.options.redis.group.exec([{ name: renewLeases.name, script: renewLeases, args }]);
      for (const one of standing) one.confirmedAt = asked;
    } catch {
      // Redis is away: they lapse where it is so for long.
    }
  }
}

/** A limit by hour or day counts; shorter ones are spaced. */
const isQuota = ({ period }: { readonly period: number }) => period > 60_000;

interface Question {
  readonly lane: string;
  readonly holder: string;
  readonly want: number;
  /** Permits given before that were not used. */
  readonly lost?: number;
  readonly offers: readonly Offer[];
  readonly lease: boolean;
  /** The lane can be served in other ways too: a refusal of these does not hold it back. */
  readonly others?: boolean;
  readonly dry?: boolean;
}

/** @returns the command that asks for a lease or for permits; see `acquireLease`. */
export function ask({ offers, ...question }: Question): Command {
  const plain = offers.map(({ limits, scopes }) => ({ limits, scopes }));
  const request = JSON.stringify({ ...question, offers: plain, ttl: LEASE_DURATION, horizon: HORIZON });
  return { name: acquireLease.name, script: acquireLease, args: [request] };
}

/** What came of it; `offer` counts from 1 and is 0 where all were refused. */
export interface Answer extends Refusal {
  readonly offer: number;
  readonly permits: number;
  /** ms */
  readonly delay: number;
  /** ms */
  readonly gap: number;
  readonly probe: string;
}

export function parseAnswer(reply: unknown): Answer {
  const [offer, permits, delay, gap, probe, reason, key, wait] = reply as [
    number,
    number,
    number,
    number,
    string,
    Refusal['reason'],
    string,
    number,
  ];
  return { offer, permits, delay, gap: gap / 1000, probe, reason, key, wait };
}

function toLease(name: string, offer: Offer, answer: Answer): Lease {
  const { probe } = answer;
  // A probe is one message: more permits are only had when it went well.
  const rated = probe !== '' || offer.limits.some(({ rates }) => rates.length > 0);
  if (!rated) return { name, offer };
  const permits = new Permits();
  permits.grant(answer.permits, answer.delay, answer.gap);
  return { name, offer, permits, ...(probe ? { probe } : {}) };
}
