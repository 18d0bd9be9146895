import type { RspamdConfig } from '@waypost/config';
import { createRspamd, type RspamdVerdict } from '@waypost/filters';
import { type Check, type CheckContext, PASS, type Verdict } from '../check.js';
import { concerns, consult, type FilterDeps, fieldOf, following, guardOf, observe, plain, refusal } from './filter.js';

/** Has rspamd score a message, and carries out what it says. */
export function rspamdCheck({ config, runtime }: FilterDeps): Check {
  const scanner = following(
    () => config().filters.rspamd,
    (rspamd) =>
      rspamd &&
      createRspamd(
        {
          ...guardOf(rspamd),
          url: rspamd.url,
          password: rspamd.password,
          maxSize: rspamd.max_size,
          hostname: config().server.hostname,
        },
        observe('rspamd', runtime.metrics),
      ),
    (made) => made?.close(),
  );
  return {
    name: 'rspamd',
    run: (context) => {
      const { rspamd: settings } = config().filters;
      const rspamd = scanner();
      if (!settings || !rspamd || !concerns(context, settings)) return PASS;
      return consult(context, 'rspamd', settings, async (message) =>
        judge(context, settings, await rspamd.scan(message)),
      );
    },
  };
}

function judge(context: CheckContext, settings: RspamdConfig, verdict: RspamdVerdict): Verdict {
  const { action, score, required, symbols, message } = verdict;
  const most = [...symbols].sort((one, other) => Math.abs(other.score) - Math.abs(one.score)).slice(0, 10);
  const why = most.map((symbol) => `${symbol.name} ${symbol.score.toFixed(1)}`).join(', ');
  const share = required > 0 ? score / required : 0;
  context.symbol('RSPAMD', share * settings.weight, plain(`${action}, ${score.toFixed(1)} of ${required}: ${why}`));
  if (settings.apply_headers) changeHeaders(context, verdict);
  if (!settings.apply_actions) return PASS;
  if (action === 'reject') return refusal(undefined, message ?? 'Refused as spam');
  if (action === 'soft reject') return { kind: 'defer', reason: plain(`rspamd: ${message ?? 'later'}`) };
  if (action === 'quarantine' || action === 'discard') return { kind: 'hold', reason: `rspamd: ${action}` };
  return PASS;
}

function changeHeaders(context: CheckContext, { add, remove }: RspamdVerdict): void {
  const names = new Set(remove.map((name) => name.toLowerCase()));
  if (names.size > 0) context.removeHeader((name) => names.has(name));
  for (const { name, value } of add) context.addHeader(fieldOf(name, value));
}
