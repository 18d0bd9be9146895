import type { Check } from '../check.js';
import type { TakeCount } from '../rules/act.js';
import { arcCheck } from './arc.js';
import { attachmentsCheck } from './attachments.js';
import { type AuthDeps, authCheck } from './auth.js';
import { clamdCheck } from './clamd.js';
import { type ClassifierDeps, classifierCheck } from './classifier.js';
import { type DkimDeps, dkimCheck } from './dkim.js';
import type { FilterDeps } from './filter.js';
import { loopCheck } from './loop.js';
import { milterCheck } from './milter.js';
import { recipientsCheck } from './recipients.js';
import { rspamdCheck } from './rspamd.js';
import { rulesCheck } from './rules.js';
import { sizeCheck } from './size.js';
import { smimeCheck } from './smime.js';
import type { SmimeDeps } from './smime-deps.js';
import { spamCheck } from './spam.js';
import { spamVerdictCheck } from './spam-verdict.js';
import { spamdCheck } from './spamd.js';
import { suppressionCheck } from './suppression.js';
import { traceCheck } from './trace.js';

export type CheckDeps = AuthDeps & ClassifierDeps & DkimDeps & FilterDeps & SmimeDeps & { readonly take: TakeCount };

/**
 * @param deps whose configuration is read at each use, so that a reload holds for the next message.
 * @returns the configured checks in their order.
 * @throws Error for a name there is no check of.
 */
export function configuredChecks(deps: CheckDeps): Check[] {
  const { config } = deps;
  const all = [
    sizeCheck(() => config().limits.message_size),
    loopCheck(() => config().limits.received_headers),
    recipientsCheck(() => config().routes),
    suppressionCheck,
    authCheck(deps),
    spamCheck(deps),
    attachmentsCheck(deps),
    rspamdCheck(deps),
    spamdCheck(deps),
    clamdCheck(deps),
    milterCheck(deps),
    classifierCheck(deps),
    spamVerdictCheck(deps),
    rulesCheck(() => config().rules, deps.take),
    smimeCheck(deps),
    arcCheck(deps),
    dkimCheck(deps),
    traceCheck,
  ];
  return config().policy.checks.map((name) => {
    const check = all.find((candidate) => candidate.name === name);
    if (check) return check;
    throw new Error(`policy.checks: there is no check "${name}"; known are ${all.map((one) => one.name).join(', ')}`);
  });
}
