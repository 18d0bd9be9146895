import type { MailResolver } from '@waypost/dns';
import type { LaneJob } from '@waypost/mail';
import {
  type AttemptContext,
  type Grant,
  type LaneHandler,
  type LaneSession,
  lift,
  type Settlement,
} from '@waypost/queue';
import { type LaneTerms, type Offer, planOf, type SiteFinder } from '@waypost/shaping';
import { type AttemptDeps, attempt } from './attempt.js';
import { movedHome } from './rehome.js';
import { reactions } from './shaping/reactions.js';
import type { ShapeState } from './shaping/state.js';
import type { LaneTarget } from './target.js';
import { MaildirTarget } from './targets/maildir.js';
import { SinkTarget } from './targets/sink.js';
import { SmtpTarget } from './targets/smtp.js';
import { suspendedTarget } from './targets/suspended.js';
import type { TransportGuards } from './transport/guard.js';
import type { TlsObserver } from './transport/sessions.js';

export interface LanesDeps extends AttemptDeps {
  readonly resolver: MailResolver;
  readonly sites: SiteFinder;
  readonly shape: ShapeState;
  readonly guards: TransportGuards;
  /** Told of TLS to mail exchangers. */
  readonly onTls: TlsObserver;
  /** From 0 to 1. */
  readonly random?: () => number;
}

/** Mail that is held back is looked at again after this, ms, in case nobody has called it back. */
const LOOK_AGAIN = 3_600_000;

/** Opens sessions for lanes, and says on what terms and how many of them there may be. */
export class Lanes implements LaneHandler {
  constructor(private readonly deps: LanesDeps) {}

  offers(lane: string): Offer[] {
    const { shape, random = Math.random } = this.deps;
    return shuffled(this.#terms(lane).offers, random).map((offer) => shape.apply(offer));
  }

  open(lane: string, grant: Grant): LaneSession {
    return new Session(lane, grant, () => this.#terms(lane), this.deps);
  }

  limit(lane: string): number {
    return this.#terms(lane).connections;
  }

  #terms(lane: string): LaneTerms {
    return planOf(this.deps.config()).terms(lane);
  }
}

/** One lease's worth of a lane: a target that is kept from message to message. */
class Session implements LaneSession {
  #target: LaneTarget | undefined;

  constructor(
    private readonly lane: string,
    private readonly grant: Grant,
    private readonly terms: () => LaneTerms,
    private readonly deps: LanesDeps,
  ) {}

  get alive(): boolean {
    return this.#target?.alive ?? true;
  }

  async attempt(job: LaneJob, context: AttemptContext): Promise<Settlement> {
    const hold = this.deps.shape.holdOf(job);
    const later = hold && this.#heldBack(job, hold.till);
    if (later) return later;
    // Too old to be held back any longer, it ends here: what an operator has stopped must not go after all.
    if (hold)
      return (await attempt(job, suspendedTarget(hold.reason), context, { ...this.deps, terms: this.terms() }))
        .settlement;
    const elsewhere = await movedHome({ job, attempt: context.attempt }, this.lane, this.deps);
    if (elsewhere) return elsewhere;
    this.#target ??= this.#createTarget(job);
    const terms = this.terms();
    const { settlement, outcome } = await attempt(job, this.#target, context, { ...this.deps, terms });
    if (!outcome) return settlement;
    const also = reactions(terms, this.grant.offer, outcome, this.deps.shape);
    const { probe } = this.grant;
    if (probe && outcome.results.some(({ result }) => result === 'delivered')) also.push(lift(probe, true));
    return also.length > 0 ? { ...settlement, also: [...(settlement.also ?? []), ...also] } : settlement;
  }

  /** Mail that an operator holds back is put off, until it is too old. */
  #heldBack(job: LaneJob, till: number): Settlement | undefined {
    const now = Date.now();
    const expiry = job.receivedAt + this.terms().maxAge;
    if (expiry <= now) return undefined;
    return { outcomes: [], events: [], retryAt: Math.min(till, expiry, now + LOOK_AGAIN) };
  }

  async close(): Promise<void> {
    this.#target?.close();
  }

  #createTarget({ target }: LaneJob): LaneTarget {
    const { config, resolver, guards, onTls, runtime } = this.deps;
    if (target.kind === 'sink') return new SinkTarget(() => config().delivery.sink_keep);
    if (target.kind === 'maildir') return new MaildirTarget(target);
    const { source } = this.grant.offer;
    const { terms } = this;
    return new SmtpTarget(target, { config, resolver, guards, onTls, metrics: runtime.metrics, terms, source });
  }
}

/** @returns the offers, those of more weight more often first. */
function shuffled(offers: LaneTerms['offers'], random: () => number): Offer[] {
  if (offers.length === 1) return [(offers[0] as LaneTerms['offers'][number]).offer];
  return offers
    .map(({ offer, weight }) => ({
      offer,
      at: weight > 0 ? -Math.log(1 - random()) / weight : Number.POSITIVE_INFINITY,
    }))
    .sort((a, b) => a.at - b.at)
    .map(({ offer }) => offer);
}
