import { Lessons, ModelInForce } from '@waypost/classifier';
import type { Config } from '@waypost/config';
import type { MessageRecord } from '@waypost/mail';
import type { RedisHandle } from '@waypost/redis';
import type { Runtime } from '@waypost/runtime';

interface LearnDeps {
  readonly config: () => Config;
  readonly runtime: Runtime;
  readonly redis: RedisHandle;
}

/** @returns what tells the classifier that a released message is no spam, for its tenant's mail; an operator does it by hand. */
export function learnFrom({ config, runtime, redis }: LearnDeps) {
  const lessons = new Lessons(redis.group, () => config().classifier.learning);
  let model: ModelInForce | undefined;
  return async (message: Buffer, { meta }: MessageRecord): Promise<void> => {
    // Read at the first lesson: most processes are never taught.
    model ??= new ModelInForce(
      () => config().classifier.model,
      (error) => runtime.log.error({ error: error.message }, 'the model cannot be read, the old one stays'),
    );
    const { tenant } = meta.origin;
    const result = await lessons.learn(message, 'ham', { classifier: model.classifier, tenant, unlimited: true });
    runtime.metrics.spamLessons.inc({ class: 'ham', result });
  };
}
