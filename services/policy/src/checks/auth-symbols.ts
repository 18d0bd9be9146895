import type { AuthFindings, DkimFinding, SpfFinding } from '@waypost/msgauth';
import type { FoundSymbol } from '../findings.js';
import type { Applied } from './auth-policy.js';

/** Scores by what they say about spam; `spam.scores` sets others. */
const SPF: Record<SpfFinding['result'], readonly [string, number] | undefined> = {
  pass: ['SPF_PASS', -0.1],
  fail: ['SPF_FAIL', 2],
  softfail: ['SPF_SOFTFAIL', 1],
  neutral: ['SPF_NEUTRAL', 0.2],
  none: ['SPF_NONE', 0.3],
  permerror: ['SPF_PERMERROR', 0.8],
  temperror: undefined,
};

/** @returns what authentication says for and against a message, each with its reason. */
export function authSymbols(found: AuthFindings, applied: Applied): FoundSymbol[] {
  return [...spfSymbols(found.spf), ...dkimSymbols(found.dkim), ...dmarcSymbols(found, applied), ...arcSymbols(found)];
}

function spfSymbols({ result, identity, domain, reason }: SpfFinding): FoundSymbol[] {
  const symbol = SPF[result];
  if (!symbol) return [];
  const [name, score] = symbol;
  const about = `SPF of the ${identity === 'helo' ? 'HELO name' : 'sending domain'} ${domain}: ${result}`;
  return [{ name, score, reason: reason ? `${about}, ${reason}` : about }];
}

function dkimSymbols(dkim: readonly DkimFinding[]): FoundSymbol[] {
  const of = (...results: DkimFinding['result'][]) => dkim.find(({ result }) => results.includes(result));
  const passed = of('pass');
  const invalid = of('fail', 'permerror', 'neutral');
  const refused = of('policy');
  const about = (one: DkimFinding) => `signature of ${one.domain || 'nobody'}: ${one.reason ?? one.result}`;
  return [
    ...(dkim.length === 0 ? [{ name: 'DKIM_NONE', score: 0.3, reason: 'no DKIM signature' }] : []),
    ...(passed ? [{ name: 'DKIM_PASS', score: -0.2, reason: `signed by ${passed.domain}` }] : []),
    // Forwarders and lists break signatures; beside one that holds it says nothing.
    ...(invalid && !passed ? [{ name: 'DKIM_INVALID', score: 0.8, reason: about(invalid) }] : []),
    ...(refused && !passed ? [{ name: 'DKIM_WEAK', score: 0.8, reason: about(refused) }] : []),
  ];
}

function dmarcSymbols({ dmarc }: AuthFindings, { overrides }: Applied): FoundSymbol[] {
  const { result, doubt, domain, disposition } = dmarc;
  const symbols: FoundSymbol[] = [];
  if (doubt) symbols.push({ name: 'FROM_DOUBTFUL', score: 2.5, reason: `who it is from cannot be told: ${doubt}` });
  if (result === 'pass') symbols.push({ name: 'DMARC_PASS', score: -0.5, reason: `authenticated as ${domain}` });
  if (result !== 'fail') return symbols;
  const [override] = overrides.filter(({ type }) => type !== 'sampled_out');
  if (override) {
    const why = `fails DMARC of ${domain}, and is let in: ${override.type}`;
    return [...symbols, { name: 'DMARC_OVERRIDDEN', score: 0, reason: why }];
  }
  const [name, score] = { reject: ['DMARC_REJECT', 6], quarantine: ['DMARC_QUARANTINE', 4], none: ['DMARC_FAIL', 1] }[
    disposition
  ] as [string, number];
  return [...symbols, { name, score, reason: `not authenticated as ${domain}, whose policy is ${disposition}` }];
}

function arcSymbols({ arc }: AuthFindings): FoundSymbol[] {
  if (arc.result === 'none' || arc.temporary) return [];
  if (arc.result === 'pass') return [{ name: 'ARC_PASS', score: 0, reason: `chain of ${arc.instance} seals` }];
  return [{ name: 'ARC_INVALID', score: 0.5, reason: `ARC chain: ${arc.reason}` }];
}
