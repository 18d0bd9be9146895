import { parseEndpoint } from '@waypost/config';
import { createClamd } from '@waypost/filters';
import { type Check, PASS, type Verdict } from '../check.js';
import { concerns, consult, type FilterDeps, following, guardOf, observe, plain, refusal } from './filter.js';

/** Has clamd look for viruses. */
export function clamdCheck({ config, runtime }: FilterDeps): Check {
  const scanner = following(
    () => config().filters.clamd,
    (clamd) =>
      clamd &&
      createClamd(
        { ...guardOf(clamd), endpoint: parseEndpoint(clamd.address), maxSize: clamd.max_size },
        observe('clamd', runtime.metrics),
      ),
    (made) => made?.close(),
  );
  return {
    name: 'clamd',
    run: (context) => {
      const { clamd: settings } = config().filters;
      const clamd = scanner();
      if (!settings || !clamd || !concerns(context, settings)) return PASS;
      const tooLarge = (reason: string): Verdict => {
        if (settings.oversize === 'pass') return PASS;
        if (settings.oversize === 'hold') return { kind: 'hold', reason: `not scanned for viruses: ${reason}` };
        return { kind: 'reject', reply: { code: 552, enhanced: '5.3.4', text: 'Too large to be scanned for viruses' } };
      };
      const ask = async (message: Parameters<typeof clamd.scan>[0]): Promise<Verdict> => {
        const verdict = await clamd.scan(message);
        if (verdict.kind === 'clean') return PASS;
        const virus = plain(verdict.virus);
        context.symbol('CLAMD_VIRUS', VIRUS, virus);
        if (settings.infected === 'hold') return { kind: 'hold', reason: `virus ${virus}` };
        return refusal(undefined, `Virus found: ${virus}`);
      };
      return consult(context, 'clamd', settings, ask, tooLarge);
    },
  };
}

/** Shown beside what is done about it. */
const VIRUS = 20;
