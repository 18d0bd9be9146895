import { parseEndpoint } from '@waypost/config';
import { createSpamd } from '@waypost/filters';
import { type Check, PASS } from '../check.js';
import { concerns, consult, type FilterDeps, following, guardOf, observe } from './filter.js';

/** Has SpamAssassin score a message; its score counts in ours. */
export function spamdCheck({ config, runtime }: FilterDeps): Check {
  const scanner = following(
    () => config().filters.spamd,
    (spamd) =>
      spamd &&
      createSpamd(
        { ...guardOf(spamd), endpoint: parseEndpoint(spamd.address), user: spamd.user, maxSize: spamd.max_size },
        observe('spamd', runtime.metrics),
      ),
  );
  return {
    name: 'spamd',
    run: (context) => {
      const { spamd: settings } = config().filters;
      const spamd = scanner();
      if (!settings || !spamd || !concerns(context, settings)) return PASS;
      return consult(context, 'spamd', settings, async (message) => {
        const { score, threshold, symbols } = await spamd.scan(message);
        const share = threshold > 0 ? score / threshold : 0;
        const why = symbols.slice(0, 20).join(', ') || 'no rule matched';
        context.symbol('SPAMD', share * settings.weight, `${score} of ${threshold}: ${why}`);
        return PASS;
      });
    },
  };
}
