import { baseModel, Classifier, MOST_OCTETS, openMail, readModelFile } from '@waypost/classifier';
import type { Config } from '@waypost/config';
import type { Runtime } from '@waypost/runtime';
import { type Check, PASS } from '../check.js';
import { concerns, type FilterDeps } from './filter.js';

/** Scores a message by its words and by how it is made. Costs under a millisecond for most, and is bounded for all. */
export function classifierCheck({ config, runtime }: FilterDeps): Check {
  const classifier = followModel(config, runtime.log);
  return {
    name: 'classifier',
    run: async (context) => {
      const { classifier: settings } = config();
      if (!concerns(context, settings)) return PASS;
      const message = await context.message();
      // Of a long message the other checks' reading decodes more than is looked at here.
      const mail = message.length <= MOST_OCTETS ? await context.mail() : openMail(message);
      const { score, reasons } = classifier().classify(mail);
      const points = Math.max(-settings.least, Math.min(settings.most, score * settings.weight));
      context.symbol('CLASSIFIER', points, reasons.join(', '));
      return PASS;
    },
  };
}

/** Reads the model at the start and when another is named; one that cannot be read leaves the old one in force. */
function followModel(config: () => Config, log: Runtime['log']): () => Classifier {
  const load = (file: string | undefined) => new Classifier(file === undefined ? baseModel() : readModelFile(file));
  let file = config().classifier.model;
  let made = load(file);
  return () => {
    const wanted = config().classifier.model;
    if (wanted === file) return made;
    file = wanted;
    try {
      made = load(wanted);
    } catch (error) {
      log.error({ file: wanted, error: (error as Error).message }, 'the model cannot be read, the old one stays');
    }
    return made;
  };
}
