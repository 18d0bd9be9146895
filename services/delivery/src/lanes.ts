import type { MailResolver } from '@waypost/dns';
import { type LaneJob, matchDomain } from '@waypost/mail';
import type { AttemptContext, LaneHandler, LaneSession, Settlement } from '@waypost/queue';
import { type AttemptDeps, attempt } from './attempt.js';
import type { LaneTarget } from './target.js';
import { MaildirTarget } from './targets/maildir.js';
import { SinkTarget } from './targets/sink.js';
import { SmtpTarget } from './targets/smtp.js';

export interface LanesDeps extends AttemptDeps {
  readonly resolver: MailResolver;
}

/** Opens sessions for lanes, and says how many of them there may be. */
export class Lanes implements LaneHandler {
  constructor(private readonly deps: LanesDeps) {}

  open(): LaneSession {
    return new Session(this.deps);
  }

  limit(lane: string): number {
    const { shaping, delivery } = this.deps.config();
    const name = lane.slice(lane.indexOf(':') + 1);
    const rule = shaping.find(
      ({ match, connections }) => connections !== undefined && (match === lane || matchDomain(match, name)),
    );
    return rule?.connections ?? delivery.connections;
  }
}

/** One lease's worth of a lane: a target that is kept from message to message. */
class Session implements LaneSession {
  #target: LaneTarget | undefined;

  constructor(private readonly deps: LanesDeps) {}

  get alive(): boolean {
    return this.#target?.alive ?? true;
  }

  async attempt(job: LaneJob, context: AttemptContext): Promise<Settlement> {
    this.#target ??= createTarget(job, this.deps);
    return attempt(job, this.#target, context, this.deps);
  }

  async close(): Promise<void> {
    this.#target?.close();
  }
}

function createTarget({ target }: LaneJob, deps: LanesDeps): LaneTarget {
  if (target.kind === 'sink') return new SinkTarget(() => deps.config().delivery.sink_keep);
  if (target.kind === 'maildir') return new MaildirTarget(target);
  return new SmtpTarget(target, { config: deps.config, resolver: deps.resolver, metrics: deps.runtime.metrics });
}
