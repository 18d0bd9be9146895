import type { Config } from '@waypost/config';
import type { InlineVerdict, PolicyPort } from '@waypost/inline';
import { type MessageMeta, SmtpError } from '@waypost/mail';
import type { Runtime } from '@waypost/runtime';
import type { Draft } from '@waypost/spool';

export interface InlinePolicyDeps {
  readonly policy: PolicyPort;
  readonly config: () => Config;
  readonly runtime: Runtime;
}

type Taken = Omit<Extract<InlineVerdict, { kind: 'take' }>, 'kind'>;

/** Nothing is known of it yet: the queue judges it. */
const UNJUDGED: Taken = { variants: [] };

/** Asks policy before a message is committed, so that what is refused is refused in the session. */
export class InlinePolicy {
  #running = 0;

  readonly #ended = () => {
    this.#running -= 1;
  };

  constructor(private readonly deps: InlinePolicyDeps) {}

  /**
   * @returns what goes into the commit with the message.
   * @throws SmtpError where the message is refused, or cannot be judged in time and the configuration says to wait for that.
   */
  async judge(meta: MessageMeta, { inline }: Draft): Promise<Taken> {
    const { config, runtime, policy } = this.deps;
    const { budget, concurrency } = config().policy.inline;
    if (this.#running >= concurrency) return this.#unjudged('busy', meta);
    this.#running += 1;
    const started = performance.now();
    const signal = AbortSignal.timeout(budget);
    try {
      const late = new Promise<never>((_, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }),
      );
      const judging = policy.judge({ meta, ...(inline ? { body: inline } : {}) }, signal);
      // One that nobody waits for any more still takes its place.
      judging.then(this.#ended, this.#ended);
      const verdict = await Promise.race([judging, late]);
      const result = verdict.kind === 'take' ? 'taken' : verdict.reply.code < 500 ? 'deferred' : 'refused';
      runtime.metrics.inlineVerdicts.inc({ result });
      if (verdict.kind === 'take') return verdict;
      const { code, enhanced = code < 500 ? '4.7.1' : '5.7.1', text } = verdict.reply;
      throw new SmtpError(code, enhanced, text);
    } catch (error) {
      if (error instanceof SmtpError) throw error;
      return this.#unjudged(signal.aborted ? 'late' : 'failed', meta, error as Error);
    } finally {
      runtime.metrics.inlineSeconds.observe((performance.now() - started) / 1000);
    }
  }

  #unjudged(result: 'busy' | 'late' | 'failed', { id }: MessageMeta, cause?: Error): Taken {
    const { config, runtime } = this.deps;
    runtime.metrics.inlineVerdicts.inc({ result });
    const defers = config().policy.inline.on_timeout === 'defer';
    runtime.log.warn({ id, result, error: cause?.message, deferred: defers }, 'policy gave no verdict in the session');
    if (defers) throw new SmtpError(451, '4.7.1', 'The message cannot be judged now, try again later');
    return UNJUDGED;
  }
}
