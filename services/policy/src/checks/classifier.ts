import { type Layers, MOST_OCTETS, ModelInForce, openMail } from '@waypost/classifier';
import { type Check, PASS } from '../check.js';
import { concerns, type FilterDeps } from './filter.js';

export interface ClassifierDeps extends FilterDeps {
  /** What was taught. */
  readonly layers: Pick<Layers, 'of'>;
}

/** Scores a message by its words and by how it is made. Costs about a millisecond for 10 KB, and is bounded for all. */
export function classifierCheck({ config, runtime, layers }: ClassifierDeps): Check {
  const model = new ModelInForce(
    () => config().classifier.model,
    (error) => runtime.log.error({ error: error.message }, 'the model cannot be read, the old one stays'),
  );
  return {
    name: 'classifier',
    run: async (context) => {
      const { classifier: settings } = config();
      if (!concerns(context, settings)) return PASS;
      const message = await context.message();
      // Of a long message the other checks' reading decodes more than is looked at here.
      const mail = message.length <= MOST_OCTETS ? await context.mail() : openMail(message);
      const lessons = await layers.of(context.meta.origin.tenant);
      const { score, reasons } = model.classifier.classify(mail, lessons);
      const points = Math.max(-settings.least, Math.min(settings.most, score * settings.weight));
      context.symbol('CLASSIFIER', points, reasons.join(', '));
      return PASS;
    },
  };
}
